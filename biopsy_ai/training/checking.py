"""A dataset found, read, checked and split, before anything is trained."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from biopsy_ai.errors import TrainingDataError
from biopsy_ai.progress import Progress
from biopsy_ai.training.collection import Dataset, ItemOptions, find_dataset
from biopsy_ai.training.loading import LoadedItem, load_dataset
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
    chosen: tuple[list[int], list[int]] = ([], [])
    if items:
        chosen = hold_out(items, named=held_out, seen=seen, seed=seed)
    return CheckedDataset(dataset, items, *chosen)
