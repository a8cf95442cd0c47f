"""Agreement between two methods or two readers: Bland–Altman, ICC, kappa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True)
class BlandAltman:
    """Bland–Altman summary of paired differences, in the unit of the values (or percent).

    Attributes
    ----------
    n
        Number of pairs.
    bias
        Mean difference, first minus second.
    sd
        Standard deviation of the differences (n − 1).
    lower, upper
        95 % limits of agreement, bias ± 1.96 SD.
    median
        Median difference, which single failures do not move.
    """

    n: int
    bias: float
    sd: float
    lower: float
    upper: float
    median: float


@dataclass(frozen=True)
class IntraclassCorrelation:
    """Intraclass correlation with its 95 % confidence interval."""

    icc: float
    lower: float
    upper: float
    n_targets: int
    n_raters: int


def bland_altman(
    values: npt.ArrayLike, reference: npt.ArrayLike, *, percent: bool = False
) -> BlandAltman:
    """Summarize the differences `values` − `reference` by bias and limits of agreement.

    Parameters
    ----------
    values, reference
        Paired measurements, shape (n,). Pairs with a missing value (NaN) are left out.
    percent
        Give the differences in percent of the reference instead of in its unit.

    Returns
    -------
    BlandAltman
        All NaN for no pairs; SD and limits NaN for a single one.

    References
    ----------
    Bland JM, Altman DG. Lancet 1986;327:307–310. doi:10.1016/S0140-6736(86)90837-8

    Examples
    --------
    >>> bland_altman([11.0, 21.0, 31.0], [10.0, 20.0, 30.0]).bias
    1.0
    """
    first = np.asarray(values, dtype=np.float64)
    second = np.asarray(reference, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired values are needed, got shapes {first.shape} and {second.shape}")
    difference = first - second
    if percent:
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = 100 * difference / second
    difference = difference[np.isfinite(difference)]
    n = len(difference)
    if n == 0:
        return BlandAltman(0, *(float("nan"),) * 5)
    bias = float(difference.mean())
    sd = float(difference.std(ddof=1)) if n > 1 else float("nan")
    return BlandAltman(
        n=n,
        bias=bias,
        sd=sd,
        lower=bias - 1.96 * sd,
        upper=bias + 1.96 * sd,
        median=float(np.median(difference)),
    )


def icc(ratings: npt.ArrayLike) -> IntraclassCorrelation:
    """Intraclass correlation ICC(2,1): absolute agreement of single ratings.

    Both targets and raters are taken as random samples (two-way random effects).

    Parameters
    ----------
    ratings
        Values, shape (n_targets, n_raters), at least 2 × 2. Targets with a missing value (NaN)
        are left out.

    Returns
    -------
    IntraclassCorrelation
        1 with limits of 1 where all raters agree on targets that differ. NaN where all values are
        equal; limits of NaN where neither targets nor raters differ on average.

    References
    ----------
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420–428. doi:10.1037/0033-2909.86.2.420
    (interval: case 2 there, with Satterthwaite's degrees of freedom).
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"ratings must have shape (targets, raters), got {table.shape}")
    table = table[np.isfinite(table).all(axis=1)]
    n, k = table.shape
    if n < 2 or k < 2:
        raise ValueError(f"at least two complete targets and two raters are needed, got {n} × {k}")
    grand = table.mean()
    by_target, by_rater = table.mean(axis=1), table.mean(axis=0)
    rows = k * float(((by_target - grand) ** 2).sum()) / (n - 1)
    columns = n * float(((by_rater - grand) ** 2).sum()) / (k - 1)
    residual = table - by_target[:, None] - by_rater[None, :] + grand
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    # Means are rounded: what is left of equal values is not exactly 0.
    nothing = n * k * (4 * np.finfo(float).eps * float(np.abs(table).max())) ** 2
    rows, columns, error = (0.0 if part <= nothing else part for part in (rows, columns, error))
    spread = rows + (k - 1) * error + k * (columns - error) / n
    if spread <= 0:
        return IntraclassCorrelation(*(float("nan"),) * 3, n_targets=n, n_raters=k)
    value = (rows - error) / spread
    if value == 1:
        return IntraclassCorrelation(1.0, 1.0, 1.0, n, k)

    weight = k * value / (n * (1 - value))
    rest = 1 + k * value * (n - 1) / (n * (1 - value))
    spread_of_noise = (weight * columns) ** 2 / (k - 1) + (rest * error) ** 2 / ((n - 1) * (k - 1))
    if spread_of_noise == 0:
        return IntraclassCorrelation(float(value), float("nan"), float("nan"), n, k)
    freedom = (weight * columns + rest * error) ** 2 / spread_of_noise
    f_upper = float(stats.f.ppf(0.975, n - 1, freedom))
    f_lower = float(stats.f.ppf(0.975, freedom, n - 1))
    noise = k * columns + (k * n - k - n) * error
    lower = n * (rows - f_upper * error) / (f_upper * noise + n * rows)
    upper = n * (f_lower * rows - error) / (noise + n * f_lower * rows)
    return IntraclassCorrelation(float(value), float(lower), float(upper), n, k)


def cohen_kappa(
    first: Sequence[Any] | npt.NDArray[Any],
    second: Sequence[Any] | npt.NDArray[Any],
    *,
    categories: Sequence[Any] | None = None,
    weights: Literal["linear", "quadratic"] | None = None,
) -> float:
    """Chance-corrected agreement of two readers on categories.

    Parameters
    ----------
    first, second
        The category that each reader gave to each of n items.
    categories
        All categories, in their order where `weights` is given. Default: those present, sorted.
    weights
        Count disagreement by distance (``"linear"``) or its square (``"quadratic"``) for ordered
        categories.

    Returns
    -------
    float
        1 is full agreement, 0 what chance gives; NaN where both readers used one same category
        throughout, so that chance alone explains everything.

    References
    ----------
    Cohen J. Educ Psychol Meas 1960;20:37–46; weighted: Psychol Bull 1968;70:213–220.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(f"paired categories are needed, got shapes {a.shape} and {b.shape}")
    names = list(categories) if categories is not None else sorted({*a.tolist(), *b.tolist()})
    index = {name: number for number, name in enumerate(names)}
    try:
        pairs = [(index[x], index[y]) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is not among the categories {names}") from None
    observed = np.zeros((len(names), len(names)))
    np.add.at(observed, tuple(np.array(pairs).T), 1 / len(pairs))
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    distance = np.abs(np.subtract.outer(np.arange(len(names)), np.arange(len(names))))
    penalty = {None: distance > 0, "linear": distance, "quadratic": distance**2}[weights]
    by_chance = float((penalty * expected).sum())
    if by_chance == 0:
        return float("nan")
    return 1 - float((penalty * observed).sum()) / by_chance
