"""A dataset found, read, checked and split, before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biopsy_ai.errors import TrainingDataError
from biopsy_ai.progress import Progress
from biopsy_ai.training.collection import Dataset, ItemOptions, find_dataset
from biopsy_ai.training.loading import LoadedItem, find_measured, load_dataset
from biopsy_ai.training.reviewed_fibers import ReviewedFibers, read_reviewed_fibers
from biopsy_ai.training.split import group_items, hold_out


@dataclass(frozen=True, eq=False)
class CheckedDataset:
    """A dataset that was read and checked.

    Attributes
    ----------
    dataset
        With all its problems.
    items
        Pictures without a problem.
    training, held_out
        Their numbers: what is learned from, and what is judged on.
    """

    dataset: Dataset
    items: list[LoadedItem]
    training: list[int]
    held_out: list[int]

    @property
    def groups(self) -> list[int]:
        """Patient or slide of each picture, numbered."""
        return group_items(self.items)

    @property
    def n_fibers(self) -> int:
        """Labelled fibers of all pictures."""
        return sum(one.n_fibers for one in self.items)

    @property
    def reviewers(self) -> list[str]:
        """Who corrected the pictures."""
        return sorted({name for one in self.items for name in one.item.reviewers})

    @property
    def reviewed(self) -> dict[str, int]:
        """How many fibers people looked at, and say a condition or a type of."""
        fibers = self.fibers_of(range(len(self.items)))
        return {
            "reviewed_fibers": int(sum(f.reviewed.sum() for f in fibers)),
            "with_condition": int(sum(f.has_condition().sum() for f in fibers)),
            "with_type": int(sum(np.isfinite(f.is_type_i()).sum() for f in fibers)),
        }

    def fibers_of(self, which: Iterable[int]) -> list[ReviewedFibers]:
        """Reviewed fibers of some pictures, by slide."""
        groups, chosen = self.groups, list(which)
        return read_reviewed_fibers(
            [self.items[k].item for k in chosen], [str(groups[k]) for k in chosen]
        )

    def refuse_problems(self, *, skip: bool = False) -> None:
        """Raise what is wrong, all at once.

        Parameters
        ----------
        skip
            Leave pictures with problems out, as long as others remain.

        Raises
        ------
        TrainingDataError
            Names every file and what is wrong with it.
        """
        problems = self.dataset.problems
        if not problems or (skip and self.training):
            return
        lines = "\n".join(f"- {problem}" for problem in problems)
        advice = (
            "Mend them, or leave these pictures out with --skip-problems." if self.items else ""
        )
        raise TrainingDataError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with the data:\n{lines}\n"
            f"{advice}".rstrip()
        )


def check_dataset(
    path: str | Path,
    work: str | Path,
    *,
    options: ItemOptions | None = None,
    held_out: Collection[str] = (),
    seen: Collection[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckedDataset:
    """Find, read and check all that a dataset holds; problems are listed, not raised.

    Parameters are those of `biopsy_ai.training.retraining.retrain`, and `seen`, what the model to
    begin from has learned from.
    """
    dataset = find_dataset(path, options)
    items = load_dataset(dataset, Path(work) / "items", progress=progress)
    return _split(dataset, items, held_out, seen, seed)


def check_measured(
    path: str | Path,
    *,
    options: ItemOptions | None = None,
    held_out: Collection[str] = (),
    seen: Collection[str] = (),
    seed: int = 0,
) -> CheckedDataset:
    """Find and check what rules of conditions and types are learned from; no picture is read.

    Parameters are those of `check_dataset`.
    """
    dataset = find_dataset(path, options)
    return _split(dataset, find_measured(dataset), held_out, seen, seed)


def _split(
    dataset: Dataset,
    items: list[LoadedItem],
    held_out: Collection[str],
    seen: Collection[str],
    seed: int,
) -> CheckedDataset:
    chosen: tuple[list[int], list[int]] = ([], [])
    if items:
        chosen = hold_out(items, named=held_out, seen=seen, seed=seed)
    return CheckedDataset(dataset, items, *chosen)
