"""A section as it is after some corrections: label image, fiber table, and what was decided.

Nothing here depends on the way that led to it: a fiber whose outline nobody changed has the row of
the analysis, any other is measured, and what was decided is laid over both. So taking a correction
back gives what was there before, and reading the log again gives what was there when it was closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.corrections import CORRECTED, Corrections
from biopsy_ai.errors import ReviewError
from biopsy_ai.rescoring import PATTERN_COLUMNS
from biopsy_ai.review.edited_labels import editable
from biopsy_ai.review.entry import Entry
from biopsy_ai.review.fields import Decisions, corrections_of, with_corrections
from biopsy_ai.review.patch import Box, Patch, draw_patches, union_of
from biopsy_ai.review.remeasure import measure_again
from biopsy_ai.saved import SavedAnalysis

_Before = tuple[Decisions, set[int]]
"""Decisions about some fibers, and which of them were outlined by a person."""


@dataclass(frozen=True, eq=False)
class Step:
    """A correction, or the taking back of one, that is drawn but not yet done.

    Attributes
    ----------
    entry
        The correction.
    back
        Whether it is taken back.
    removed, changed
        Labels that are gone then, and those whose outline or columns change, new ones included.
    box
        Of the pixels that change; None where none do.
    """

    entry: Entry
    back: bool
    removed: tuple[int, ...]
    changed: tuple[int, ...]
    box: Box | None
    _drawn: tuple[Patch, ...]
    _base: pd.DataFrame
    _boxes: NDArray[np.int64]
    _rows: pd.DataFrame


class CorrectedSection:
    """The state of a review.

    Attributes
    ----------
    labels
        Label image, changed in place.
    table
        The fiber table, sorted by label, with the column ``corrected``. Changed in place where no
        fiber comes or goes, else a new one takes its place.
    boxes
        (n, 4) box of each fiber of the table.
    decisions
        What was decided, by label and field.
    outlined
        Fibers whose outline a person changed; also such that are gone.
    """

    def __init__(self, saved: SavedAnalysis) -> None:
        self.saved = saved
        self.labels = editable(saved.segmentation.labels)
        # as the program found the fibers
        self._original = _with_corrected_column(saved.fibers)
        # the same with the outlines that there are now
        self._base = self._original.copy()
        self.table = self._original.copy()
        self.boxes = saved.segmentation.boxes.copy()
        self.decisions: Decisions = {}
        self.outlined: set[int] = set()
        self._before: dict[int, _Before] = {}

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n,) labels of the fibers."""
        return self.table["label"].to_numpy(np.int64)

    def rows_of(self, labels: Iterable[int]) -> NDArray[np.intp]:
        """Rows of the table in which some fibers stand.

        Raises
        ------
        ReviewError
            If there is no such fiber.
        """
        wanted = np.fromiter(labels, np.int64)
        ids = self.ids
        rows = np.searchsorted(ids, wanted)
        known = rows < len(ids)
        known[known] = ids[rows[known]] == wanted[known]
        if not known.all():
            missing = ", ".join(str(label) for label in wanted[~known][:5].tolist())
            raise ReviewError(f"there is no fiber {missing}. Select a fiber that is outlined.")
        return rows

    def box_of(self, label: int) -> Box:
        """Box of a fiber; `ReviewError` if there is none."""
        y0, x0, y1, x1 = self.boxes[self.rows_of([label])[0]].tolist()
        return y0, x0, y1, x1

    def corrections(self, labels: Iterable[int], record: dict[str, Any]) -> Corrections:
        """What was decided about some fibers."""
        return corrections_of(self.decisions, self.outlined, labels, record)

    def replay(self, entries: Sequence[Entry]) -> None:
        """Make the corrections of a log, in order; fibers are measured once at the end.

        Raises
        ------
        ReviewError
            If one of them does not fit the label image.
        """
        around: dict[int, list[Box]] = {}
        present = set(self.ids.tolist())
        self._draw([patch for entry in entries for patch in entry.patches])
        for entry in entries:
            for label, drawn in _boxes_by_label(entry.patches).items():
                known = [self.box_of(label)] if self._has(label) else []
                around.setdefault(label, known).extend(drawn)
            self._decide(entry)
            present = (present - set(entry.removed)) | set(entry.parents)
        outlined = self.outlined & present & set(around)
        found = measure_again(
            self.labels,
            {label: _around(around[label]) for label in outlined},
            self.saved,
            self._original,
        )
        ids, boxes, new = found.ids, found.boxes, found.rows
        gone = set(self.ids.tolist()) - present
        self.boxes = _with_boxes(self.ids, self.boxes, gone, ids, boxes)
        self._base = _with_rows(self._base, gone, new)
        labels = self._base["label"].to_numpy(np.int64)
        touched = np.flatnonzero(np.isin(labels, [*self.decisions, *ids.tolist()]))
        rows = self._base.take(touched)
        rows = with_corrections(rows, self.corrections(labels[touched].tolist(), {}))
        self.table = self._base.copy()
        _put_rows(self.table, rows)

    def prepare(self, entry: Entry, *, back: bool = False) -> Step:
        """Draw a correction, or take one back, and measure what it changes.

        Raises
        ------
        ReviewError
            If it does not fit the label image; nothing is drawn then.
        """
        drawn = _back(entry.patches) if back else entry.patches
        self._draw(drawn)
        try:
            return self._measured(entry, drawn, back)
        except BaseException:
            self._erase(drawn)
            raise

    def cancel(self, step: Step) -> None:
        """Leave the label image as it was before `prepare`."""
        self._erase(step._drawn)

    def finish(self, step: Step) -> None:
        """Bring the table to what is drawn."""
        entry = step.entry
        if step.back:
            decisions, outlined = self._before.pop(entry.seq)
            self._restore(entry, decisions, outlined)
        else:
            self._decide(entry)
        gone, new = set(step.removed), step._base["label"].to_numpy(np.int64)
        self.boxes = _with_boxes(self.ids, self.boxes, gone, new, step._boxes)
        self._base = _with_rows(self._base, gone, step._base)
        self.table = _with_rows(self.table, gone, step._rows)

    def take_over(
        self, found: pd.DataFrame, columns: Sequence[str], *, but_not: Iterable[int] = ()
    ) -> None:
        """Take up what was found of the fibers meanwhile; a new table takes the place of this one.

        Parameters
        ----------
        found
            A row per fiber that there was.
        columns
            What is taken up, as far as both tables have it.
        but_not
            Fibers that changed since.
        """
        labels, ids = found["label"].to_numpy(np.int64), self.ids
        known = np.isin(ids, labels) & ~np.isin(ids, list(but_not))
        undecided = known & ~np.isin(ids, [label for label, took in self.decisions.items() if took])
        table, base = self.table.copy(), self._base.copy()
        for name in columns:
            if name in found and name in table and name != "label":
                _put_column(table, name, known, found)
                # what was decided may be laid over the other columns of the others
                of_base = known if name in PATTERN_COLUMNS else undecided
                _put_column(base, name, of_base, found)
        self.table, self._base = table, base

    def _measured(self, entry: Entry, drawn: tuple[Patch, ...], back: bool) -> Step:
        """The rows that change, with the label image as it is drawn."""
        removed, come = set(entry.removed), set(entry.parents)
        if back:
            decisions, before = self._before[entry.seq]
            outlined = (self.outlined - set(entry.outlined)) | before
            gone, drawn_anew = come, (set(entry.outlined) | removed) - come
        else:
            decisions = _decided(self.decisions, entry)
            outlined = self.outlined | set(entry.outlined)
            gone, drawn_anew = removed, set(entry.outlined)
        boxes_of = _boxes_by_label(drawn)
        around = {}
        for label in drawn_anew & outlined:
            known = [self.box_of(label)] if self._has(label) else []
            around[label] = _around([*boxes_of.get(label, []), *known])
        found = measure_again(self.labels, around, self.saved, self._original)
        base, boxes = found.rows, found.boxes
        as_found = sorted(drawn_anew - outlined)
        at = np.searchsorted(self.saved.segmentation.ids, as_found)
        base = pd.concat([base, self._original.take(at)]) if as_found else base
        boxes = np.concatenate([boxes, self.saved.segmentation.boxes[at]])
        order = np.argsort(base["label"].to_numpy(), kind="stable")
        base, boxes = base.take(order).reset_index(drop=True), boxes[order]
        others = sorted(set(entry.fields) - drawn_anew - gone)
        rows = pd.concat([base, self._base.take(self.rows_of(others))]) if others else base
        changed = sorted(rows["label"].tolist())
        taken = corrections_of({**self.decisions, **decisions}, outlined, changed, {})
        return Step(
            entry=entry,
            back=back,
            removed=tuple(sorted(gone)),
            changed=tuple(changed),
            box=union_of([patch.box for patch in drawn]),
            _drawn=drawn,
            _base=base,
            _boxes=boxes,
            _rows=with_corrections(rows.reset_index(drop=True), taken),
        )

    def _decide(self, entry: Entry) -> None:
        """Take up what an entry decides, and keep what was decided before."""
        labels = (*entry.fields, *entry.outlined)
        self._before[entry.seq] = (
            {label: dict(self.decisions.get(label, {})) for label in entry.fields},
            self.outlined & set(labels),
        )
        self.decisions.update(_decided(self.decisions, entry))
        self.outlined |= set(entry.outlined)

    def _restore(self, entry: Entry, decisions: Decisions, outlined: set[int]) -> None:
        for label, taken in decisions.items():
            if taken:
                self.decisions[label] = taken
            else:
                self.decisions.pop(label, None)
        self.outlined = (self.outlined - set(entry.outlined)) | outlined

    def _draw(self, patches: Sequence[Patch]) -> None:
        try:
            draw_patches(self.labels, patches)
        except ValueError as error:
            raise ReviewError(
                f"the review log does not fit the outlines ({error}). Put a copy of the log back, "
                "or move it away to review the section from the start."
            ) from error

    def _erase(self, patches: Sequence[Patch]) -> None:
        draw_patches(self.labels, _back(patches))

    def _has(self, label: int) -> bool:
        ids = self.ids
        row = int(np.searchsorted(ids, label))
        return row < len(ids) and int(ids[row]) == label


def _back(patches: Sequence[Patch]) -> tuple[Patch, ...]:
    """What takes patches back."""
    return tuple(patch.reversed() for patch in reversed(patches))


def _decided(decisions: Decisions, entry: Entry) -> Decisions:
    """Decisions about the fibers of an entry after it."""
    return {
        label: decisions.get(label, {}) | {field: value for field, (_, value) in columns.items()}
        for label, columns in entry.fields.items()
    }


def _boxes_by_label(patches: Iterable[Patch]) -> dict[int, list[Box]]:
    """The boxes of the patches that draw each label or draw over it."""
    found: dict[int, list[Box]] = {}
    for patch in patches:
        for label in patch.labels:
            found.setdefault(label, []).append(patch.box)
    return found


def _around(boxes: list[Box]) -> Box:
    box = union_of(boxes)
    assert box is not None
    return box


def _with_corrected_column(fibers: pd.DataFrame) -> pd.DataFrame:
    """The table with the column ``corrected`` before the last one, as a reviewed section has it."""
    if CORRECTED in fibers:
        return fibers.reset_index(drop=True)
    table = fibers.reset_index(drop=True)
    nothing = pd.Series([""] * len(table), dtype=table["excluded"].dtype)
    table.insert(table.shape[1] - 1, CORRECTED, nothing)
    return table


def _with_rows(table: pd.DataFrame, gone: set[int], rows: pd.DataFrame) -> pd.DataFrame:
    """A table without some fibers and with new rows; changed in place where the same ones stay."""
    labels, new = (part["label"].to_numpy(np.int64) for part in (table, rows))
    if not gone and np.isin(new, labels).all():
        _put_rows(table, rows)
        return table
    kept = ~np.isin(labels, [*gone, *new.tolist()])
    table = pd.concat([table[kept], rows], ignore_index=True)
    if len(new) and (~kept | (labels > new[0])).any():
        order = np.argsort(table["label"].to_numpy(), kind="stable")
        table = table.take(order).reset_index(drop=True)
    return table


def _with_boxes(
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
    gone: set[int],
    new_ids: NDArray[np.int64],
    new_boxes: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Boxes of the fibers without some and with others, in the order of labels."""
    kept = ~np.isin(ids, [*gone, *new_ids.tolist()])
    order = np.argsort(np.concatenate([ids[kept], new_ids]), kind="stable")
    return np.concatenate([boxes[kept], new_boxes])[order]


def _put_column(
    table: pd.DataFrame, name: str, which: NDArray[np.bool_], found: pd.DataFrame
) -> None:
    """Put values of another table into some rows of a column."""
    rows = np.flatnonzero(which)
    at = np.searchsorted(found["label"], table["label"].to_numpy()[rows])
    values = found[name].iloc[at].astype(table.dtypes[name])
    column = table[name].array.copy()
    column[rows] = values.array
    table[name] = column


def _put_rows(table: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Put rows into a table that holds the same fibers."""
    at = np.searchsorted(table["label"].to_numpy(np.int64), rows["label"].to_numpy(np.int64))
    for number in range(table.shape[1]):
        table.iloc[at, number] = rows.iloc[:, number].array
