from __future__ import annotations

import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.parallel import WorkerPlan, plan, plan_workers

GB = 1_000_000_000


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 16 cores and 32 GB."""
    monkeypatch.setattr(plan, "usable_cores", lambda: 16)
    monkeypatch.setattr(plan, "total_memory", lambda: 32 * GB)


@pytest.mark.usefixtures("machine")
class TestDefaults:
    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_slides_stay_in_one_process(self, n: int) -> None:
        assert plan_workers(n) is None

    @pytest.mark.parametrize(
        ("n", "workers", "threads"), [(4, 2, 8), (10, 5, 3), (16, 8, 2), (500, 8, 2)]
    )
    def test_cores_and_memory_are_shared_out(self, n: int, workers: int, threads: int) -> None:
        assert plan_workers(n) == WorkerPlan(workers, threads, 32 * GB // workers)

    def test_memory_limits_their_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plan, "total_memory", lambda: 7 * GB)
        assert plan_workers(100) == WorkerPlan(2, 8, 3_500_000_000)
        monkeypatch.setattr(plan, "total_memory", lambda: 4 * GB)
        assert plan_workers(100) is None

    def test_one_core(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plan, "usable_cores", lambda: 1)
        assert plan_workers(100) is None

    def test_few_cores_have_a_worker_each(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plan, "usable_cores", lambda: 4)
        assert plan_workers(100) == WorkerPlan(4, 1, 8 * GB)


@pytest.mark.usefixtures("machine")
class TestWishes:
    def test_one_worker_is_this_process_unless_more_is_wished(self) -> None:
        assert plan_workers(100, workers=1) is None
        assert plan_workers(1, workers=1, threads=1) == WorkerPlan(1, 1, 32 * GB)
        assert plan_workers(1, memory_limit="4GB") == WorkerPlan(1, 16, 4 * GB)

    def test_all(self) -> None:
        assert plan_workers(100, workers=3, threads=4, memory_limit=5 * GB) == WorkerPlan(
            3, 4, 5 * GB
        )

    def test_more_workers_than_cores(self) -> None:
        assert plan_workers(100, workers=20) == WorkerPlan(20, 1, 32 * GB // 20)

    def test_a_scheduler_knows_its_workers(self) -> None:
        address = "tcp://10.0.0.1:8786"
        assert plan_workers(1, scheduler=address) == WorkerPlan(None, None, None, address)
        with pytest.raises(ConfigError, match="dask worker --memory-limit"):
            plan_workers(1, scheduler=address, memory_limit="4GB")

    @pytest.mark.parametrize(
        ("wish", "said"),
        [
            ({"workers": 0}, "--workers 0"),
            ({"threads": -1}, "--threads -1"),
            ({"memory_limit": "much"}, "much"),
            ({"memory_limit": "10MB"}, "at least 1 GB"),
        ],
    )
    def test_what_cannot_be_met(self, wish: dict[str, int], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            plan_workers(100, **wish)
