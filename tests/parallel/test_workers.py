"""Workers with real processes: threads, deaths, memory, stopping."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import worker_tasks as tasks

from biopsy_ai.errors import Cancelled, ConfigError
from biopsy_ai.parallel import Call, Ended, WorkerPlan, Workers
from biopsy_ai.parallel import workers as room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GB = 1_000_000_000


def run(workers: Workers, calls: Sequence[Call], tick: Callable[[], None] | None = None) -> Any:
    """Do calls; gives their ends in order, and the order in which they were begun."""
    ends: dict[int, Ended] = {}
    begun: list[int] = []
    workers.run(
        calls,
        started=lambda number, worker: begun.append(number),
        ended=lambda number, end: ends.update({number: end}),
        tick=tick or (lambda: None),
    )
    return [ends[number] for number in range(len(calls))], begun


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Workers(WorkerPlan(2, 3, 2 * GB), tmp_path_factory.mktemp("out")) as workers:
        yield workers


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


def test_calls_are_shared_out(two: Workers) -> None:
    ends, begun = run(two, [Call(f"n{n}", tasks.double, (n,)) for n in range(7)])
    assert [end.value for end in ends] == [0, 2, 4, 6, 8, 10, 12]
    assert begun == list(range(7))
    assert all(end.attempts == 1 and end.worker and not end.reason for end in ends)
    assert all(end.peak_bytes > 1e7 for end in ends)


def test_each_worker_has_its_share_of_cores(
    two: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ends, _ = run(two, [Call("x", tasks.process, ()) for _ in range(4)])
    assert len({end.value[0] for end in ends}) == 2
    assert os.getpid() not in {end.value[0] for end in ends}
    assert {end.value[1] for end in ends} == {3}
    assert {Path(end.value[2]) for end in ends} == {tmp_path}


def test_an_unexpected_error_is_a_reason(two: Workers) -> None:
    calls = [Call("a.tif", tasks.raises, ("value",)), Call("b.tif", tasks.double, (1,))]
    (failed, well), _ = run(two, calls)
    assert failed.value is None
    assert "a.tif" in failed.reason
    assert "no number" in failed.reason
    assert well.value == 2


def test_an_error_that_concerns_all_comes_through(two: Workers) -> None:
    with pytest.raises(ConfigError, match="bad setting"):
        run(two, [Call("a", tasks.raises, ("config",)), Call("b", tasks.double, (1,))])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
class TestDeath:
    def test_a_call_is_begun_again(self, two: Workers, tmp_path: Path) -> None:
        calls = [Call("a", tasks.dies, (tmp_path / "a", 1)), Call("b", tasks.double, (1,))]
        (first, second), begun = run(two, calls)
        assert first.value == "xx"
        assert first.attempts == 2
        assert second.value == 2
        assert sorted(begun) == [0, 0, 1]

    def test_one_that_always_dies_is_given_up(self, tmp_path: Path) -> None:
        calls = [Call("bad.tif", tasks.dies, (tmp_path / "a", 99)), Call("b", tasks.double, (1,))]
        with Workers(WorkerPlan(2, 1, 2 * GB), tmp_path) as workers:
            (first, second), begun = run(workers, calls)
        assert first.value is None
        assert first.attempts == 3
        assert "bad.tif" in first.reason
        assert "died 3 times" in first.reason
        assert second.value == 2
        assert (tmp_path / "a").read_text() == "xxx"


class TestMemory:
    def test_what_needs_more_is_tried_alone_with_all(self, tmp_path: Path) -> None:
        notes = tmp_path / "notes"
        calls = [Call("big", tasks.fills, (1.5, notes)), Call("b", tasks.double, (1,))]
        with Workers(WorkerPlan(2, 1, 1 * GB), tmp_path) as workers:
            (big, small), begun = run(workers, calls)
        assert big.value == 1.0
        assert big.attempts == 2
        assert big.peak_bytes > 1.4e9
        assert notes.read_text() == "xx"
        assert small.value == 2
        assert begun == [0, 1, 0]

    def test_what_needs_more_than_there_is_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "total_memory", lambda: int(1.2 * GB))
        notes = tmp_path / "notes"
        with Workers(WorkerPlan(1, 1, 1 * GB), tmp_path) as workers:
            (big,), _ = run(workers, [Call("big.tif", tasks.fills, (2.0, notes))])
        assert big.value is None
        assert "big.tif" in big.reason
        assert "1.2 GB" in big.reason
        assert "--memory-limit" in big.reason
        assert notes.read_text() == "xx"

    def test_an_error_for_want_of_memory_counts_as_such(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "total_memory", lambda: 1 * GB)
        with Workers(WorkerPlan(1, 1, 1 * GB), tmp_path) as workers:
            (end,), _ = run(workers, [Call("big.tif", tasks.lacks_memory, ())])
        assert end.attempts == 1
        assert "needs more memory" in end.reason


class TestStop:
    @pytest.mark.parametrize("stop", [Cancelled("stopped"), KeyboardInterrupt()])
    def test_tasks_end_by_themselves_and_workers_are_gone(
        self, tmp_path: Path, stop: BaseException
    ) -> None:
        notes = tmp_path / "ended"

        def tick() -> None:
            if notes.with_suffix(".begun").exists():
                raise stop

        before = {child.pid for child in children()}
        with (
            pytest.raises(type(stop)),
            Workers(WorkerPlan(2, 1, 1 * GB), tmp_path) as workers,
        ):
            run(workers, [Call("a", tasks.waits, (notes,)) for _ in range(3)], tick)
        assert notes.exists()
        assert {child.pid for child in children()} <= before

    def test_environment_is_as_before(self, tmp_path: Path) -> None:
        before = dict(os.environ)
        with Workers(WorkerPlan(1, 1, 1 * GB), tmp_path):
            pass
        assert dict(os.environ) == before


def test_importing_it_does_not_load_dask() -> None:
    import subprocess

    code = "import biopsy_ai.cohort, biopsy_ai.parallel, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"dask", "distributed", "torch", "psutil"} & set(done.stdout.split())


def test_time_is_told(two: Workers) -> None:
    begin = time.monotonic()
    ticks: list[int] = []
    (end,), _ = run(
        two, [Call("a", tasks.process, ())], lambda: ticks.append(threading.get_ident())
    )
    assert 0.2 < end.seconds < time.monotonic() - begin + 0.1
    assert set(ticks) == {threading.get_ident()}
