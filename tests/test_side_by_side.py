from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from biopsy_ai import side_by_side
from biopsy_ai.errors import Cancelled
from biopsy_ai.side_by_side import run_side_by_side


def test_results_come_in_order_and_progress_only_grows() -> None:
    seen: list[tuple[str, int, int]] = []

    def counts_to(n: int) -> Any:
        def step(progress: Any) -> int:
            for done in range(n + 1):
                progress("mine", done, n)
            progress("another", 0, 5)
            return n

        return step

    results = run_side_by_side(
        [counts_to(3), counts_to(7), lambda progress: None], "all", lambda *told: seen.append(told)
    )
    assert results == [3, 7, None]
    assert {(stage, total) for stage, _, total in seen} == {("all", 300)}
    done = [done for _, done, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 300)
    assert run_side_by_side([counts_to(2)], "all", None) == [2]


def test_steps_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)
    meeting = threading.Barrier(2, timeout=30)
    run_side_by_side([lambda progress: meeting.wait()] * 2, "all", None)


def test_on_one_core_steps_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 1)
    running: list[int] = []

    def step(progress: Any) -> int:
        running.append(1)
        time.sleep(0.01)
        return len(running) - running.pop()

    assert run_side_by_side([step] * 3, "all", None) == [0, 0, 0]


@pytest.mark.parametrize("error", [ValueError("broken"), Cancelled("stopped")])
def test_one_that_fails_stops_the_others(error: Exception) -> None:
    stopped = []

    def fails(progress: Any) -> None:
        raise error

    def goes_on(progress: Any) -> None:
        try:
            while True:
                progress("mine", 1, 2)
        except Cancelled:
            stopped.append(True)
            raise

    with pytest.raises(type(error), match=str(error)):
        run_side_by_side([goes_on, fails], "all", None)
    assert stopped


def test_the_caller_can_stop_all() -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done:
            raise Cancelled("enough")

    def step(progress: Any) -> None:
        for done in range(1000):
            progress("mine", done, 1000)

    with pytest.raises(Cancelled, match="enough"):
        run_side_by_side([step, step], "all", stop)
    assert not [t for t in threading.enumerate() if t.name.startswith("biopsy-ai-step")]
