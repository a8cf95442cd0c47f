"""The review of a section: a person corrects what was found, one logged change after the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from biopsy_ai.errors import ReviewError
from biopsy_ai.progress import Progress
from biopsy_ai.result_names import REVIEWED_FOLDER
from biopsy_ai.review import outline_edits
from biopsy_ai.review.change import Change, name_fibers
from biopsy_ai.review.doubt import Doubts
from biopsy_ai.review.edited_labels import frozen_copy
from biopsy_ai.review.entry import Fields
from biopsy_ai.review.fields import decide
from biopsy_ai.review.logged_section import LoggedSection
from biopsy_ai.review.opening import Opened
from biopsy_ai.review.outline_edits import LARGEST_LABEL
from biopsy_ai.review.vocabulary import check_condition, check_reason, check_type


class Review(LoggedSection):
    """The review of one section.

    Every change is in the log on the disk before it counts, so that nothing is lost when the
    program ends in whatever way; `open` goes on where the last one stopped. Close it, or use it in
    a ``with`` statement. Changes may come from one thread while others read or save.

    A change that cannot be made as asked raises `ReviewError`, whose message says what to do, and
    changes nothing.

    Attributes
    ----------
    folder, saved
        The results that are reviewed, as the analysis left them.
    user
        Who reviews.
    summary
        Content of summary.json as far as it is known for the fibers that there are now.

    Examples
    --------
    >>> from biopsy_ai import Review
    >>> with Review.open("results/section", user="M. Meier") as review:  # doctest: +SKIP
    ...     review.set_type([12, 15], "IIA")
    ...     review.merge([31, 32])
    ...     review.undo()
    ...     review.save()
    """

    def __init__(self, opened: Opened) -> None:
        """Go on with a section; `open` is the way to do this."""
        super().__init__(opened)
        self._doubts = Doubts(opened.saved)

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
            label = _whole(label)
            edit = outline_edits.split(self._section, label, line_um, self._next_label)
            text = f"fiber {label} parted into {name_fibers(edit.outlined)}"
            taken = self._section.decisions.get(label, {})
            kept = {name: value for name, value in taken.items() if name != "accepted"}
            inherited: Fields = {
                new: {name: ("", value) for name, value in kept.items()} for new in edit.parents
            }
            fields = inherited if kept else {}
            return self._do("split", edit.outlined, text, edit=edit, fields=fields)

    def redraw(self, label: int, outline_um: Any) -> Change:
        """Replace the outline of a fiber, in the coordinates of `split`."""
        with self._guard:
            label = _whole(label)
            edit = outline_edits.redraw(self._section, label, outline_um)
            return self._do("redraw", [label], f"fiber {label} drawn anew", edit=edit)

    def draw(self, outline_um: Any) -> Change:
        """Add a fiber, by an outline in the coordinates of `split`."""
        with self._guard:
            edit = outline_edits.draw(self._section, outline_um, self._next_label)
            return self._do("draw", edit.outlined, f"fiber {edit.outlined[0]} added", edit=edit)

    def queue(self) -> pd.DataFrame:
        """The fibers that deserve a look: label, doubt (0 to 1) and reason, most doubtful first.

        Fibers that a person accepted or changed are not in it.
        """
        with self._guard:
            settled = {label for label, taken in self._section.decisions.items() if taken}
            settled |= self._section.outlined
            return self._doubts.queue(set(self.ids.tolist()) - settled)

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
                self._take_over(analysis.fibers, analysis.summary, n_entries)
        return folder

    def export_training(
        self, folder: str | Path, *, whole_section: bool, progress: Progress | None = None
    ) -> Path:
        """Write picture, corrected fibers and log as data that ``biopsy-ai train`` reads.

        May run in another thread, as `save`; see `biopsy_ai.review.training_export`.
        """
        from biopsy_ai.review.reviewed_section import ReviewedSection
        from biopsy_ai.review.training_export import export_training

        with self._guard:
            section = ReviewedSection(
                self.saved,
                frozen_copy(self._section.labels),
                self.ids.copy(),
                self.boxes.copy(),
                self.corrections(),
            )
        return export_training(section, folder, whole_section=whole_section, progress=progress)

    def _labels(self, labels: int | Iterable[int]) -> list[int]:
        """Labels given by a user, each once, in order; `ReviewError` if one is of no fiber."""
        # the letters of a text are no labels
        several = isinstance(labels, Iterable) and not isinstance(labels, str | bytes)
        some = cast("Iterable[Any]", labels if several else [labels])
        ordered = sorted({_whole(label) for label in some})
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


def _whole(label: Any) -> int:
    """A label given by a user; `ReviewError` if it is no whole number."""
    is_number = isinstance(label, int | float | np.integer | np.floating)
    if (
        not is_number
        or isinstance(label, bool)
        or not abs(label) <= LARGEST_LABEL
        or label != int(label)
    ):
        raise ReviewError(f"{label!r} is no number of a fiber. Give whole numbers, such as 12.")
    return int(label)
