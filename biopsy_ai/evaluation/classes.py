"""Agreement of class maps, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biopsy_ai.evaluation.counts import ratio
from biopsy_ai.evaluation.matching import LabelImage


@dataclass(frozen=True, eq=False)
class ClassConfusion:
    """Pixels of each class and what they were called; those of several images can be added.

    Attributes
    ----------
    counts
        (k, k) int64 pixels; row is the true, column the predicted class.
    names
        The k classes.
    """

    counts: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __add__(self, other: ClassConfusion) -> ClassConfusion:
        if self.names != other.names:
            raise ValueError("only maps of the same classes can be pooled")
        return ClassConfusion(self.counts + other.counts, self.names)

    def iou(self, name: str) -> float:
        """Intersection over union of one class; NaN where neither map holds it."""
        k = self.names.index(name)
        both = int(self.counts[k, k])
        return ratio(both, int(self.counts[k].sum()) + int(self.counts[:, k].sum()) - both)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that the truth holds, each counting the same."""
        true = self.counts.sum(axis=1) > 0
        values = [self.iou(name) for name, held in zip(self.names, true, strict=True) if held]
        return float(np.mean(values)) if values else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are called what they are."""
        return ratio(int(np.trace(self.counts)), int(self.counts.sum()))


def count_confusion(
    predicted: LabelImage,
    truth: LabelImage,
    names: Sequence[str],
    *,
    ignore: npt.NDArray[np.bool_] | None = None,
) -> ClassConfusion:
    """Compare two class maps of the same grid.

    Parameters
    ----------
    predicted, truth
        Class maps, shape (H, W), of whole numbers from 0: indices into `names`.
    names
        The classes.
    ignore
        Where the truth is not known, shape (H, W).

    Raises
    ------
    ValueError
        If the shapes differ or a map holds a class without a name.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[0, 0, 1, 1]])
    >>> count_confusion(np.array([[0, 1, 1, 1]]), truth, ("glass", "fat")).iou("glass")
    0.5
    """
    shapes = {predicted.shape, truth.shape} | ({ignore.shape} if ignore is not None else set())
    if len(shapes) > 1:
        raise ValueError(f"class maps of the same shape are needed, got {sorted(shapes)}")
    known: Any = slice(None) if ignore is None else ~ignore
    pairs = [np.asarray(image)[known].ravel().astype(np.int64) for image in (truth, predicted)]
    n = len(names)
    for values in pairs:
        if values.size and not 0 <= values.min() <= values.max() < n:
            raise ValueError(f"class maps must hold numbers from 0 to {n - 1}: {', '.join(names)}")
    counts = np.bincount(pairs[0] * n + pairs[1], minlength=n * n).reshape(n, n)
    return ClassConfusion(counts.astype(np.int64), tuple(names))
