"""The review of a section: a person corrects what was found, one logged change after the other."""

from __future__ import annotations

import getpass
import threading
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import ReviewError
from biopsy_ai.formats.label_image import LABELS_FILE
from biopsy_ai.formats.tables import printable
from biopsy_ai.labels import LabelArray
from biopsy_ai.progress import Progress
from biopsy_ai.review import outline_edits
from biopsy_ai.review.change import Change, name_fibers
from biopsy_ai.review.corrected_section import PATTERN_COLUMNS, CorrectedSection
from biopsy_ai.review.doubt import Doubts
from biopsy_ai.review.edited_labels import frozen_copy
from biopsy_ai.review.entry import Entry, Fields
from biopsy_ai.review.fields import check_condition, check_reason, check_type, decide
from biopsy_ai.review.lock import ReviewLock
from biopsy_ai.review.log import LOG_FILE, ReviewLog
from biopsy_ai.saved import SavedAnalysis, read_analysis

if TYPE_CHECKING:
    from biopsy_ai.pipeline import Rescored

REVIEWED_FOLDER = "reviewed"
"""Folder among the results of a section with the results after its review."""


class Review:
    """The review of one section.

    Every change is in the log on the disk before it counts, so that nothing is lost when the
    program ends in whatever way; `open` goes on where the last one stopped. Close it, or use it in
    a ``with`` statement. Changes may come from one thread while others read or save.

    Attributes
    ----------
    folder, saved
        The results that are reviewed, as the analysis left them.
    user
        Who reviews.
    summary
        Content of summary.json as far as it is known for the fibers that there are now.
    """

    def __init__(
        self,
        saved: SavedAnalysis,
        user: str,
        log: ReviewLog,
        lock: ReviewLock | None,
        why_read_only: str = "",
    ) -> None:
        self.saved, self.folder, self.user = saved, saved.folder, user
        self.summary: dict[str, Any] = saved.summary
        self._log, self._lock, self._why_read_only = log, lock, why_read_only
        self._guard = threading.RLock()
        self._done: list[Entry] = []
        self._undone: list[Entry] = []
        for entry in log.entries:
            self._move(entry)
        self._section = CorrectedSection(saved)
        self._section.replay(self._done)
        self._next_label = 1 + max(
            [int(saved.segmentation.ids.max(initial=0))]
            + [max(entry.parents, default=0) for entry in log.entries]
        )
        self._doubts = Doubts(saved)

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
        folder = Path(folder)
        if folder.name == REVIEWED_FOLDER and (folder.parent / LOG_FILE).is_file():
            raise ReviewError(
                f"{folder}: holds what a review of {folder.parent} led to. Open that folder to go "
                "on with the review."
            )
        name = printable((user or "").strip()) or _account()
        lock, why = None, ""
        try:
            lock = ReviewLock(folder, name)
        except OSError as error:
            why = f"{folder}: nothing can be written there ({error.strerror or error})"
        try:
            saved = read_analysis(folder, slide)
            log = ReviewLog(folder, file_sha256(folder / LABELS_FILE))
            return cls(saved, name, log, lock, why)
        except BaseException:
            if lock is not None:
                lock.release()
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

    def accept(self, labels: int | Iterable[int]) -> Change:
        """Say that fibers are right as they are."""
        return self._decide("accept", labels, "accepted", True, "{} accepted")

    def exclude(self, labels: int | Iterable[int], reason: str) -> Change:
        """Leave fibers out of the statistics."""
        reason = check_reason(reason)
        return self._decide("exclude", labels, "exclusion", reason, f"{{}} left out: {reason}")

    def include(self, labels: int | Iterable[int]) -> Change:
        """Take fibers into the statistics again, whoever left them out."""
        with self._guard:
            some = self._labels(labels)
            reasons = self.table["excluded"].to_numpy()[self._section.rows_of(some)]
            left_out = [label for label, reason in zip(some, reasons, strict=True) if reason]
            if not left_out:
                raise ReviewError(f"{name_fibers(some)}: not left out of the statistics.")
            return self._decide("include", left_out, "exclusion", "", "{} taken in again")

    def set_type(self, labels: int | Iterable[int], type: str) -> Change:
        """Set the type of fibers."""
        name = check_type(type)
        return self._decide("set_type", labels, "type", name, f"{{}} set to type {name}")

    def set_condition(self, labels: int | Iterable[int], condition: str) -> Change:
        """Set what is wrong with fibers."""
        name = check_condition(condition)
        return self._decide("set_condition", labels, "condition", name, f"{{}} set to {name}")

    def delete(self, labels: int | Iterable[int]) -> Change:
        """Remove fibers that are none."""
        with self._guard:
            some = self._labels(labels)
            edit = outline_edits.delete(self._section, some)
            return self._do("delete", some, f"{name_fibers(some)} deleted", edit=edit)

    def merge(self, labels: Iterable[int]) -> Change:
        """Make one fiber of several that lie side by side; it has the label of the largest."""
        with self._guard:
            some = self._labels(labels)
            if len(some) < 2:
                raise ReviewError("select two or more fibers to merge them.")
            edit = outline_edits.merge(self._section, some)
            text = f"{name_fibers(some)} merged into fiber {edit.outlined[0]}"
            return self._do("merge", some, text, edit=edit)

    def split(self, label: int, line_um: Any) -> Change:
        """Part a fiber along a line; the largest part keeps the label.

        Parameters
        ----------
        label
            The fiber.
        line_um : (n, 2) array of float
            (y, x) of the vertices from the top left corner of the image, µm.
        """
        with self._guard:
            edit = outline_edits.split(self._section, int(label), line_um, self._next_label)
            text = f"fiber {label} parted into {name_fibers(edit.outlined)}"
            taken = self._section.decisions.get(int(label), {})
            kept = {name: value for name, value in taken.items() if name != "accepted"}
            inherited: Fields = {
                new: {name: ("", value) for name, value in kept.items()} for new in edit.parents
            }
            fields = inherited if kept else {}
            return self._do("split", edit.outlined, text, edit=edit, fields=fields)

    def redraw(self, label: int, outline_um: Any) -> Change:
        """Replace the outline of a fiber, in the coordinates of `split`."""
        with self._guard:
            edit = outline_edits.redraw(self._section, int(label), outline_um)
            return self._do("redraw", [int(label)], f"fiber {label} drawn anew", edit=edit)

    def draw(self, outline_um: Any) -> Change:
        """Add a fiber, by an outline in the coordinates of `split`."""
        with self._guard:
            edit = outline_edits.draw(self._section, outline_um, self._next_label)
            return self._do("draw", edit.outlined, f"fiber {edit.outlined[0]} added", edit=edit)

    @property
    def undo_text(self) -> str:
        """What `undo` takes back; empty if nothing."""
        return self._done[-1].text if self._done else ""

    @property
    def redo_text(self) -> str:
        """What `redo` makes again; empty if nothing."""
        return self._undone[-1].text if self._undone else ""

    def undo(self) -> Change | None:
        """Take the last change back; None if there is none."""
        with self._guard:
            if not self._done:
                return None
            last = self._done[-1]
            return self._step(last, self._again(last, "undo", "taken back"), back=True)

    def redo(self) -> Change | None:
        """Make the change that was taken back last again; None if there is none."""
        with self._guard:
            if not self._undone:
                return None
            last = self._undone[-1]
            return self._step(last, self._again(last, "redo", "made again"))

    def history(self) -> pd.DataFrame:
        """What was changed, in order: seq, utc, user, operation, labels, text, undone."""
        undone = {entry.seq for entry in self._undone}
        done = {entry.seq for entry in self._done}
        rows = [
            (e.seq, e.utc, e.user, e.operation, e.labels, e.text, e.seq in undone)
            for e in self._log.entries
            if e.seq in done or e.seq in undone
        ]
        names = ["seq", "utc", "user", "operation", "labels", "text", "undone"]
        return pd.DataFrame(rows, columns=names)

    def corrections(self) -> Corrections:
        """What was decided about the fibers that there are now."""
        with self._guard:
            return self._section.corrections(self.ids.tolist(), self._record())

    def queue(self) -> pd.DataFrame:
        """The fibers that deserve a look: label, doubt (0 to 1) and reason, most doubtful first.

        Fibers that a person accepted or changed are not in it.
        """
        with self._guard:
            settled = {label for label, taken in self._section.decisions.items() if taken}
            settled |= self._section.outlined
            return self._doubts.queue(set(self.ids.tolist()) - settled)

    def take_over(self, rescored: Rescored) -> None:
        """Take up scores and patterns that were made again from the table as it was before.

        Fibers that are gone since are left out.
        """
        with self._guard:
            self._section.take_over(rescored.fibers, PATTERN_COLUMNS)
            self.summary = rescored.summary

    def save(self, *, progress: Progress | None = None) -> Path:
        """Measure the corrected fibers as a whole and write what the command line writes.

        May run in another thread while the review goes on; what changes meanwhile is not in it.

        Parameters
        ----------
        progress
            As for `biopsy_ai.pipeline.reanalyze` and `biopsy_ai.Analysis.save`.

        Returns
        -------
        Path
            The folder ``reviewed`` among the results; those of the analysis stay as they are.

        Raises
        ------
        SlideReadError
            If the slide is missing, or is not the one that was analyzed.
        NoTissueError
            If no fiber is left.
        OutputError
            If the results cannot be written.
        """
        from biopsy_ai.pipeline import reanalyze

        with self._guard:
            labels, corrections = frozen_copy(self._section.labels), self.corrections()
            n_entries = len(self._log.entries)
        with reanalyze(self.saved, labels, corrections, progress=progress) as analysis:
            folder = analysis.save(self.folder / REVIEWED_FOLDER, progress=progress)
            with self._guard:
                since = self._log.entries[n_entries:]
                changed = {label for entry in since for label in entry.labels}
                columns = list(analysis.fibers.columns)
                self._section.take_over(analysis.fibers, columns, but_not=changed)
                self.summary = analysis.summary
        return folder

    def _labels(self, labels: int | Iterable[int]) -> list[int]:
        """Labels given by a user, each once, in order; `ReviewError` if one is of no fiber."""
        some = [labels] if isinstance(labels, int | np.integer) else labels
        ordered = sorted({int(label) for label in some})
        if not ordered:
            raise ReviewError("no fiber is selected. Select one or more.")
        self._section.rows_of(ordered)
        return ordered

    def _decide(
        self,
        operation: str,
        labels: int | Iterable[int],
        field: str,
        value: str | bool,
        text: str,
    ) -> Change:
        with self._guard:
            some = self._labels(labels)
            rows = self._section.rows_of(some).tolist()
            fields = decide(self.table, rows, field, value, self._section.decisions)
            if not fields:
                raise ReviewError(f"{text.format(name_fibers(some))} already.")
            return self._do(operation, some, text.format(name_fibers(some)), fields=fields)

    def _do(
        self,
        operation: str,
        labels: Iterable[int],
        text: str,
        *,
        edit: outline_edits.Edit | None = None,
        fields: Fields | None = None,
    ) -> Change:
        edit = edit or outline_edits.Edit()
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
        step = self._section.prepare(edit, back=back)
        try:
            self._log.append(logged)
        except BaseException:
            self._section.cancel(step)
            raise
        self._section.finish(step)
        self._move(logged)
        self._next_label = max(self._next_label, 1 + max(edit.parents, default=0))
        return Change(logged.operation, step.removed, step.changed, step.box, logged.text)

    def _move(self, entry: Entry) -> None:
        """Bring what is done and what was taken back up to date with an entry of the log."""
        source, target = {
            "undo": (self._done, self._undone),
            "redo": (self._undone, self._done),
        }.get(entry.operation, ([entry], self._done))
        if not source or source[-1].seq != (entry.undoes or entry.redoes or entry.seq):
            raise ReviewError(
                f"{self._log.path}: line {entry.seq + 1} takes back or makes again what it cannot. "
                "Put a copy of the log back, or move it away to review from the start."
            )
        target.append(source.pop())
        if entry.operation not in ("undo", "redo"):
            self._undone.clear()

    def _record(self) -> dict[str, Any]:
        """Who changed how much and when."""
        entries = self._log.entries
        if not entries:
            return {}
        return {
            "n_edits": len(self._done),
            "n_by_operation": dict(Counter(entry.operation for entry in self._done)),
            "reviewers": sorted({entry.user for entry in entries}),
            "first_utc": entries[0].utc,
            "last_utc": entries[-1].utc,
            "log_sha256": self._log.sha256,
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _account() -> str:
    try:
        return printable(getpass.getuser())
    # what is raised where an account has no name differs between systems and versions
    except Exception:
        return "unknown"
