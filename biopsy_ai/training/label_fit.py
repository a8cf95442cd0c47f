"""Whether labels lie where the picture shows borders: found by moving them about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.measure.robust import median_and_spread

SEARCH_UM = 24.0
"""How far labels are moved, µm. [default]"""

FAR_UM = 10.0
"""What outlines meet by chance is measured beyond this distance, µm. [default]"""

SHIFT_UM = 3.0
"""Labels that fit best farther away than this are shifted, µm. [default]"""

STRONG = 6.5
"""A fit this many times above chance is no chance. Good labels of ten fibers reach 7 and more,
labels of other places stay below 6. [default]"""

WEAK = 4.0
"""Labels that fit where they are, this many times above chance, are not called wrong. [default]"""

_STEP = 2
"""Pixels of the working grid per pixel that is looked at, along each side."""

_SMOOTHING_PX = 1.0
_SURROUNDINGS_PX = 25.0
_STRONGEST = 4.0
"""No edge counts more than so many usual ones: a fold would outweigh all fibers."""

_TURNS = {
    "mirrored left to right": lambda labels: labels[:, ::-1],
    "mirrored top to bottom": lambda labels: labels[::-1],
    "turned by half": lambda labels: labels[::-1, ::-1],
    "with rows and columns exchanged": lambda labels: labels.T,
    "turned by a quarter to the left": lambda labels: np.rot90(labels),
    "turned by a quarter to the right": lambda labels: np.rot90(labels, -1),
}
"""How label images are often wrong, in words."""


@dataclass(frozen=True)
class LabelFit:
    """How well the outlines of labels meet the edges of a picture.

    Attributes
    ----------
    shift_um
        How far (y, x) the labels would have to move for the best fit, µm.
    best, here
        Strength of the fit there, and without moving, above what outlines meet by chance, in
        units of how much chance varies.
    """

    shift_um: tuple[float, float]
    best: float
    here: float

    @property
    def distance_um(self) -> float:
        """Length of the shift, µm."""
        return float(np.hypot(*self.shift_um))

    @property
    def is_shifted(self) -> bool:
        """Whether the labels lie beside what they outline."""
        return self.best >= STRONG and self.distance_um > SHIFT_UM

    @property
    def is_unrelated(self) -> bool:
        """Whether the labels outline nothing that the picture shows."""
        return self.best < STRONG and self.here < WEAK


def label_fit(picture: NDArray[np.float32], labels: NDArray[np.integer]) -> LabelFit:
    """Move the outlines over the picture and see where they meet the most edges.

    Parameters
    ----------
    picture : (H, W, 3)
        On the working grid, 0.5 µm per pixel.
    labels : (H, W)
        Fibers; 0 is background.
    """
    return _fit(_edges(picture), labels)


def turned_fit(picture: NDArray[np.float32], labels: NDArray[np.integer]) -> str:
    """Say how labels that fit nowhere must be turned to fit; empty if no turn helps."""
    edges = _edges(picture)
    for words, turn in _TURNS.items():
        turned = turn(labels)
        if turned.shape == labels.shape and _fit(edges, turned).best >= STRONG:
            return words
    return ""


def _fit(edges: NDArray[np.float32], labels: NDArray[np.integer]) -> LabelFit:
    reach = round(SEARCH_UM / (OUTLINE_MPP * _STEP))
    scores = _scores(edges, _outlines(labels), reach)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1] * (OUTLINE_MPP * _STEP)
    chance = scores[np.hypot(rows, columns) > FAR_UM]
    usual, spread = median_and_spread(chance)
    strength = (scores - usual) / max(spread, 1e-9)
    at = int(strength.argmax())
    return LabelFit(
        (float(rows.flat[at]), float(columns.flat[at])),
        float(strength.flat[at]),
        float(strength[reach, reach]),
    )


def _edges(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strength of the edges of a picture, even over all of it, around 0."""
    import cv2

    height, width = (n // _STEP for n in picture.shape[:2])
    gray = picture.mean(axis=2, dtype=np.float32)
    gray = cv2.resize(gray, (max(width, 1), max(height, 1)), interpolation=cv2.INTER_AREA)
    gray = cv2.GaussianBlur(gray, (0, 0), _SMOOTHING_PX)
    slopes = [cv2.Sobel(gray, cv2.CV_32F, *axis, ksize=3) for axis in ((1, 0), (0, 1))]
    strength = np.hypot(*slopes)
    around = cv2.GaussianBlur(strength, (0, 0), _SURROUNDINGS_PX)
    edges: NDArray[np.float32] = np.minimum(strength / (around + 1e-6), _STRONGEST)
    return edges - edges.mean()


def _outlines(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Pixels along both sides of every outline, but not along the border of the picture."""
    height, width = (n // _STEP * _STEP for n in labels.shape)
    coarse = np.asarray(labels)[:height:_STEP, :width:_STEP]
    drawn = np.zeros(coarse.shape, np.float32)
    down, right = coarse[1:] != coarse[:-1], coarse[:, 1:] != coarse[:, :-1]
    drawn[1:] += down
    drawn[:-1] += down
    drawn[:, 1:] += right
    drawn[:, :-1] += right
    drawn[[0, -1]] = drawn[:, [0, -1]] = 0
    return drawn


def _scores(
    edges: NDArray[np.float32], outlines: NDArray[np.float32], reach: int
) -> NDArray[np.float64]:
    """Mean edge under the outlines, for every shift of up to `reach` pixels."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = [next_fast_len(n + reach, real=True) for n in edges.shape]
    moving = np.conj(rfft2(outlines, shape))
    at = np.arange(-reach, reach + 1)
    met, inside = (
        irfft2(rfft2(field, shape) * moving, shape)[np.ix_(at, at)]
        for field in (edges, np.ones_like(edges))
    )
    scores: NDArray[np.float64] = met / np.maximum(inside, 1)
    return scores
