"""Signs that a fiber may show: how probable each is, and how it is put in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sign:
    """One sign of a condition in n fibers.

    Attributes
    ----------
    probability : (n,) ndarray of float
        How far the measured number lies beyond its limit, 0.5 at it; not calibrated.
    measured : (n,) ndarray of float
    words : str or list of str
        The same for all fibers or one for each; they take the measured number.
    """

    probability: Floats
    measured: Floats
    words: str | list[str]

    def tell(self, row: int) -> str:
        """Put what was measured in one fiber in words; empty where nothing was."""
        words = self.words if isinstance(self.words, str) else self.words[row]
        known = "{" not in words or np.isfinite(self.measured[row])
        return words.format(self.measured[row]) if known else ""


def weakest(signs: tuple[Sign, ...], n: int) -> Floats:
    """Probability of the weakest sign for each of n fibers, NaN without signs."""
    if not signs:
        return np.full(n, np.nan)
    return np.asarray(np.min([sign.probability for sign in signs], axis=0), dtype=np.float64)


def above(measured: Floats, limit: float, width: float, words: str) -> Sign:
    """A sign that holds above a limit; ``words`` take the measured number."""
    with np.errstate(over="ignore"):
        probability = 1.0 / (1.0 + np.exp(-(measured - limit) / width))
    return Sign(probability, measured, words)


def below(measured: Floats, limit: float, width: float, words: str) -> Sign:
    """A sign that holds below a limit; ``words`` take the measured number."""
    return Sign(1.0 - above(measured, limit, width, words).probability, measured, words)


def any_of(*signs: Sign) -> Sign:
    """Combine signs of which one is enough: the most probable one of each fiber speaks for it."""
    known = np.nan_to_num(np.stack([sign.probability for sign in signs]), nan=-1.0)
    best = known.argmax(axis=0)
    rows = np.arange(known.shape[1])
    probability = np.where(known[best, rows] < 0, np.nan, known[best, rows])
    measured = np.stack([sign.measured for sign in signs])[best, rows]
    words = [
        [sign.words] * len(rows) if isinstance(sign.words, str) else sign.words for sign in signs
    ]
    return Sign(probability, measured, [words[k][row] for row, k in enumerate(best.tolist())])
