"""Steps of an analysis that do not need each other, run at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from biopsy_ai.errors import Cancelled
from biopsy_ai.processors import usable_cores
from biopsy_ai.progress import Progress

Step = Callable[[Progress], Any]
"""Takes the callback to tell its progress with."""

PARTS = 100
"""Parts that the progress of a step is told in."""


def run_side_by_side(steps: Sequence[Step], stage: str, progress: Progress | None) -> list[Any]:
    """Run steps in threads, no more than there are cores, and wait for all of them.

    What they compute with arrays runs at the same time; Python itself takes turns.

    Parameters
    ----------
    steps
        Each is called with a callback of its own; a step that calls it never cannot be stopped.
    stage
        Under which the progress of all of them together is told.
    progress
        Called as ``progress(stage, done, total)`` from their threads, one at a time. If it raises,
        or a step does, the others stop when they tell their progress next.

    Returns
    -------
    list
        What the steps returned, in their order.
    """
    told = _Told(len(steps), stage, progress)
    told.tell()
    workers = max(min(len(steps), usable_cores()), 1)
    with ThreadPoolExecutor(workers, "biopsy-ai-step") as threads:
        waiting = [threads.submit(told.run, number, step) for number, step in enumerate(steps)]
    if told.failed is not None:
        raise told.failed
    return [step.result() for step in waiting]


class _Told:
    """How far the steps are, and whether one has failed."""

    def __init__(self, n_steps: int, stage: str, progress: Progress | None) -> None:
        self._done = [0] * n_steps
        self._stage = stage
        self._progress = progress
        self._lock = threading.Lock()
        self.failed: BaseException | None = None

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(self._stage, sum(self._done), PARTS * len(self._done))

    def run(self, number: int, step: Step) -> Any:
        def of_step(_: str, done: int, total: int) -> None:
            # the end is told when the step is back, as it may go on to another thing
            part = min(PARTS * done // max(total, 1), PARTS - 1)
            self._set(number, part)

        try:
            result = step(of_step)
            self._set(number, PARTS)
        except BaseException as error:
            with self._lock:
                self.failed = self.failed or error
            return None
        return result

    def _set(self, number: int, part: int) -> None:
        with self._lock:
            if self.failed is not None:
                raise Cancelled("another step has failed or was stopped")
            if part > self._done[number]:
                self._done[number] = part
                self.tell()
