"""Scores made again after edits, in a thread: some time after the last one, the newest state."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QCoreApplication, QObject, QTimer

from biopsy_ai.errors import BiopsyError, Cancelled
from biopsy_ai.rescoring import SectionMemory
from biopsy_ai.review.edited_labels import frozen_copy

if TYPE_CHECKING:
    from biopsy_ai.review import Review
    from napari_plugin.section import OpenSection

WAIT_MS = 1500
"""So long after the last edit scoring begins. [default]"""

LOOK_MS = 50
"""So often is looked whether it has ended."""


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
        self._memory = SectionMemory()
        self._timer: QTimer | None = None
        self._run: _Run | None = None
        self.is_due = False

    def put_off(self) -> None:
        """Wait for the end of the edits; what runs already is out of date."""
        if QCoreApplication.instance() is None:
            return
        self._stop_run()
        self.is_due = True
        self._wait(WAIT_MS)

    def stop(self) -> None:
        """Do no more."""
        if self._timer is not None:
            self._timer.stop()
        self._stop_run()
        self.is_due = False

    def _wait(self, ms: int) -> None:
        if self._timer is None:
            self._timer = QTimer(self)
            self._timer.setSingleShot(True)
            self._timer.timeout.connect(self._go_on)
        self._timer.start(ms)

    def _go_on(self) -> None:
        """Begin, or take over what was found, or look again."""
        section = self._section()
        if section is None or not section.is_open:
            return
        if self._run is None:
            self._run = _Run(section.review, self._memory)
        if not self._run.ended.is_set():
            self._wait(LOOK_MS)
            return
        run, self._run, self.is_due = self._run, None, False
        if run.problem:
            section.tell(f"The scores could not be made again. {run.problem}")
            section.scores_changed.emit()
        else:
            section.take_over(run.result)

    def _stop_run(self) -> None:
        if self._run is not None:
            self._run.stopped.set()
            self._run = None


class _Run:
    """One scoring in a thread, of the review as it is now."""

    def __init__(self, review: Review, memory: SectionMemory) -> None:
        self.stopped, self.ended = threading.Event(), threading.Event()
        self.result: Any = None
        self.problem = ""
        # the review goes on meanwhile
        drawn: Any = review.labels
        labels = frozen_copy(drawn)
        self._state = (review.saved, review.table.copy(), labels, review.boxes.copy())
        self._corrections, self._memory = review.corrections(), memory
        threading.Thread(target=self._work, name="biopsy-ai scores", daemon=True).start()

    def _work(self) -> None:
        from biopsy_ai.pipeline import rescore

        with warnings.catch_warnings():
            # one that is shown from another thread can stop the window
            warnings.simplefilter("ignore")
            try:
                self.result = rescore(
                    *self._state,
                    corrections=self._corrections,
                    memory=self._memory,
                    progress=self._check,
                )
            except Cancelled:
                return
            except BiopsyError as error:
                self.problem = str(error)
            except Exception as error:  # the window has to say it, whatever it is
                self.problem = f"Unexpected error ({type(error).__name__}: {error})"
        self.ended.set()

    def _check(self, stage: str, done: int, total: int) -> None:
        if self.stopped.is_set():
            raise Cancelled("the fibers have changed")
