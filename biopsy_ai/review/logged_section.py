"""A section whose every change is in a log on the disk before it counts."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import ReviewError
from biopsy_ai.formats.label_image import LABELS_FILE
from biopsy_ai.labels import LabelArray
from biopsy_ai.rescoring import PATTERN_COLUMNS, Rescored
from biopsy_ai.review.change import Change
from biopsy_ai.review.corrected_section import CorrectedSection
from biopsy_ai.review.entry import Entry, Fields
from biopsy_ai.review.history import History
from biopsy_ai.review.opening import Opened, open_section, read_reviewed, stamp_of
from biopsy_ai.review.outline_edits import Edit


class LoggedSection:
    """The state of a review, with undo and redo.

    Attributes
    ----------
    folder, saved
        The results that are reviewed, as the analysis left them.
    user
        Who reviews.
    summary
        Content of summary.json as far as it is known for the fibers that there are now.
    """

    def __init__(self, opened: Opened) -> None:
        """Go on with a section; `open` is the way to do this."""
        saved, log = opened.saved, opened.log
        self.saved, self.folder, self.user = saved, saved.folder, opened.user
        self.summary: dict[str, Any] = saved.summary
        self._log, self._lock, self._stamp = log, opened.lock, opened.stamp
        self._why_read_only = opened.why_read_only
        self._guard = threading.RLock()
        try:
            self._history = History(log.entries)
        except ValueError as error:
            raise ReviewError(
                f"{log.path}: is damaged ({error}). Put a copy of the log back, or move it away to "
                "review the section from the start."
            ) from error
        self._section = CorrectedSection(saved)
        self._section.replay(self._history.done)
        self._next_label = 1 + max(
            [int(saved.segmentation.ids.max(initial=0))]
            + [max(entry.parents, default=0) for entry in log.entries]
        )
        self._summarized = 0
        reviewed = read_reviewed(self.folder, log.sha256) if log.entries else None
        if reviewed is not None:
            self._take_over(*reviewed)

    @classmethod
    def open(
        cls, folder: str | Path, *, user: str | None = None, slide: str | Path | None = None
    ) -> Self:
        """Open the results of a section to review them, or to go on with it.

        Where nothing can be written to the folder, everything can be looked at and nothing changed.

        Parameters
        ----------
        folder
            Of the section, as `biopsy_ai.Analysis.save` wrote it.
        user
            Who reviews; the name of the account without it.
        slide
            Where the slide is now, if it was moved.

        Raises
        ------
        OutputError
            If the results cannot be read.
        ReviewError
            If somebody reviews the section at this moment, or its log belongs to other outlines or
            is damaged.
        """
        opened = open_section(Path(folder), user, slide)
        try:
            _load_tools()
            return cls(opened)
        except BaseException:
            opened.log.close()
            if opened.lock is not None:
                opened.lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others review the section. Every change is saved already."""
        with self._guard:
            self._why_read_only = f"{self.folder}: the review is closed"
            self._log.close()
            if self._lock is not None:
                self._lock.release()

    @property
    def table(self) -> pd.DataFrame:
        """The fiber table, one row per fiber that there is now, by label. Do not change it.

        Rows are changed in place; where fibers come or go, a new table takes its place.
        """
        return self._section.table

    @property
    def labels(self) -> LabelArray:
        """(H, W) label image of the fibers that there are now, changed in place."""
        return self._section.labels

    @property
    def mpp(self) -> tuple[float, float]:
        """Pixel size (y, x) of the label image, µm."""
        return self.saved.segmentation.mpp

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n,) labels, ascending."""
        return self._section.ids

    @property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4) box of each fiber: y0, x0, y1, x1 in the label image, half-open."""
        return self._section.boxes

    @property
    def summary_is_current(self) -> bool:
        """Whether `summary` and the patterns in the table are those of the fibers as they are."""
        return self._summarized == len(self._log.entries)

    @property
    def undo_text(self) -> str:
        """What `undo` takes back; empty if nothing."""
        done = self._history.done
        return done[-1].text if done else ""

    @property
    def redo_text(self) -> str:
        """What `redo` makes again; empty if nothing."""
        undone = self._history.undone
        return undone[-1].text if undone else ""

    def undo(self) -> Change | None:
        """Take the last change back; None if there is none."""
        with self._guard:
            if not self._history.done:
                return None
            last = self._history.done[-1]
            return self._step(last, self._again(last, "undo", "taken back"), back=True)

    def redo(self) -> Change | None:
        """Make the change that was taken back last again; None if there is none."""
        with self._guard:
            if not self._history.undone:
                return None
            last = self._history.undone[-1]
            return self._step(last, self._again(last, "redo", "made again"))

    def history(self) -> pd.DataFrame:
        """What was changed, in order: seq, utc, user, operation, labels, text, undone."""
        return self._history.table()

    def corrections(self) -> Corrections:
        """What was decided about the fibers that there are now."""
        with self._guard:
            return self._section.corrections(
                self.ids.tolist(), self._history.record(self._log.sha256)
            )

    def take_over(self, rescored: Rescored) -> None:
        """Take up scores and patterns that were made again from the table as it was before.

        Fibers that are gone since are left out.
        """
        with self._guard:
            self._section.take_over(rescored.fibers, PATTERN_COLUMNS)
            self.summary, self._summarized = rescored.summary, len(self._log.entries)

    def _take_over(
        self, fibers: pd.DataFrame, summary: dict[str, Any], n_entries: int | None = None
    ) -> None:
        """Take up results of the whole section as it was after some of the entries, or all."""
        n_entries = len(self._log.entries) if n_entries is None else n_entries
        since = {label for entry in self._log.entries[n_entries:] for label in entry.labels}
        self._section.take_over(fibers, list(fibers.columns), but_not=since)
        self.summary, self._summarized = summary, n_entries

    def _do(
        self,
        operation: str,
        labels: Iterable[int],
        text: str,
        *,
        edit: Edit | None = None,
        fields: Fields | None = None,
    ) -> Change:
        edit = edit or Edit()
        entry = Entry(
            seq=self._log.next_seq,
            utc=_now(),
            user=self.user,
            operation=operation,
            labels=tuple(labels),
            text=text,
            patches=edit.patches,
            fields=fields or {},
            outlined=edit.outlined,
            removed=edit.removed,
            parents=edit.parents,
        )
        return self._step(entry, entry)

    def _again(self, last: Entry, operation: str, words: str) -> Entry:
        """What the log says where an entry is taken back or made again."""
        return Entry(
            seq=self._log.next_seq,
            utc=_now(),
            user=self.user,
            operation=operation,
            labels=last.labels,
            text=f"{last.text} ({words})",
            undoes=last.seq if operation == "undo" else 0,
            redoes=last.seq if operation == "redo" else 0,
        )

    def _step(self, edit: Entry, logged: Entry, *, back: bool = False) -> Change:
        """Make a change or take one back; it counts once it is in the log."""
        if self._why_read_only:
            raise ReviewError(f"{self._why_read_only}, so nothing can be changed.")
        if stamp_of(self.folder / LABELS_FILE) != self._stamp:
            raise ReviewError(
                f"{self.folder}: the results were replaced since they were opened. Close the "
                "section and open it again."
            )
        step = self._section.prepare(edit, back=back)
        try:
            self._log.append(logged)
        except BaseException:
            self._section.cancel(step)
            raise
        self._section.finish(step)
        self._history.add(logged)
        self._next_label = max(self._next_label, 1 + max(edit.parents, default=0))
        return Change(logged.operation, step.removed, step.changed, step.box, logged.text)


def _load_tools() -> None:
    """Load what corrections need, lest the first one of a review wait for it."""
    import cv2  # noqa: F401
    import scipy.ndimage
    import scipy.spatial  # noqa: F401


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
