"""Scores made again after edits, in a thread: some time after the last one, the newest state."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from biopsy_ai.errors import BiopsyError, Cancelled
from biopsy_ai.review.edited_labels import frozen_copy

if TYPE_CHECKING:
    from biopsy_ai.review import Review
    from napari_plugin.section import OpenSection

WAIT_S = 1.5
"""So long after the last edit scoring begins. [default]"""


class Rescoring(QObject):
    """Keeps the scores of a section up to date. Without a running window it does nothing.

    Attributes
    ----------
    is_due
        Whether the scores are older than the fibers.
    """

    def __init__(self, section: OpenSection) -> None:
        super().__init__()
        self._section = ref(section)
        self._timer: QTimer | None = None
        self._run: _Run | None = None
        self.is_due = False

    def put_off(self) -> None:
        """Wait for the end of the edits; what runs already is out of date."""
        if QCoreApplication.instance() is None:
            return
        self._stop_run()
        if self._timer is None:
            self._timer = QTimer(self)
            self._timer.setSingleShot(True)
            self._timer.setInterval(round(1000 * WAIT_S))
            self._timer.timeout.connect(self._begin)
        self.is_due = True
        self._timer.start()

    def stop(self) -> None:
        """Do no more."""
        if self._timer is not None:
            self._timer.stop()
        self._stop_run()
        self.is_due = False

    def _begin(self) -> None:
        section = self._section()
        if section is not None and section.is_open:
            self._run = _Run(section.review)
            self._run.ended.connect(self._on_end)
            self._run.start()

    def _stop_run(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _on_end(self, run: _Run, result: Any, problem: str) -> None:
        section = self._section()
        # what an outdated run found may arrive after it was stopped
        if run is not self._run or section is None or not section.is_open:
            return
        self._run, self.is_due = None, False
        if problem:
            section.tell(f"The scores could not be made again. {problem}")
            section.scores_changed.emit()
        elif result is not None:
            section.take_over(result)


class _Run(QObject):
    """One scoring, of the review as it is now."""

    ended = Signal(object, object, str)

    def __init__(self, review: Review) -> None:
        super().__init__()
        self._stop = threading.Event()
        # the review goes on meanwhile
        drawn: Any = review.labels
        labels = frozen_copy(drawn)
        self._state = (review.saved, review.table.copy(), labels, review.boxes.copy())
        self._corrections = review.corrections()

    def start(self) -> None:
        threading.Thread(target=self._work, name="biopsy-ai scores", daemon=True).start()

    def stop(self) -> None:
        """Have it end at its next step."""
        self._stop.set()

    def _work(self) -> None:
        from biopsy_ai.pipeline import rescore

        result, problem = None, ""
        with warnings.catch_warnings():
            # one that is shown from another thread can stop the window
            warnings.simplefilter("ignore")
            try:
                result = rescore(*self._state, corrections=self._corrections, progress=self._go_on)
            except Cancelled:
                return
            except BiopsyError as error:
                problem = str(error)
            except Exception as error:  # the window has to say it, whatever it is
                problem = f"Unexpected error ({type(error).__name__}: {error})"
        if not self._stop.is_set():
            self._tell(result, problem)

    def _tell(self, result: Any, problem: str) -> None:
        try:
            self.ended.emit(self, result, problem)
        except RuntimeError:
            # the window was closed meanwhile
            return

    def _go_on(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Cancelled("the fibers have changed")
