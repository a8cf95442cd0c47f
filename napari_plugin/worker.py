"""Long work of the core in a thread: its progress as a signal, its cancellation as an event."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from biopsy_ai.errors import BiopsyError, Cancelled
from biopsy_ai.progress import Progress


class Work(QObject):
    """A function that runs in a thread and tells the window how far it is.

    Every signal arrives in the thread of the window. Warnings of the work go to ``warned``, as a
    warning that is shown from another thread can stop napari.

    Parameters
    ----------
    function
        Called with a progress callback, which raises `Cancelled` after `cancel`.
    """

    progressed = Signal(str, int, int)
    finished = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    warned = Signal(str)

    def __init__(self, function: Callable[[Progress], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._function = function
        self._stop = threading.Event()
        self._worker: Any = None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._worker is not None

    def start(self) -> None:
        """Begin; napari asks before it closes while this runs."""
        from napari.qt.threading import create_worker

        self._worker = create_worker(self._run, _start_thread=False)
        self._worker.returned.connect(self._on_returned)
        self._worker.start()

    def cancel(self) -> None:
        """Ask it to stop, which it does at its next step."""
        self._stop.set()

    def _run(self) -> tuple[Any, str, bool, list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result, problem, stopped = None, "", False
            try:
                result = self._function(self._tell)
            except Cancelled:
                stopped = True
            except BiopsyError as error:
                problem = str(error)
            except Exception as error:  # the window has to say it, whatever it is
                problem = f"Unexpected error ({type(error).__name__}: {error})"
        told = [str(each.message) for each in caught if each.category is UserWarning]
        return result, problem, stopped, told

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Cancelled("stopped by the user")
        self.progressed.emit(stage, done, total)

    def _on_returned(self, outcome: tuple[Any, str, bool, list[str]]) -> None:
        self._worker = None
        result, problem, stopped, told = outcome
        for text in told:
            self.warned.emit(text)
        if stopped:
            self.cancelled.emit()
        elif problem:
            self.failed.emit(problem)
        else:
            self.finished.emit(result)
