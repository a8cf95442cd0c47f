"""Trends of types across a section, which are no grouping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.permutation import measure_permuted, permutation_entry
from biopsy_ai.patterns.type_mosaic import TypeMosaic

Float = NDArray[np.float64]

STRATUM = 50
"""Fibers that types are exchanged among to hold a trend. [default]"""


def contact_distance(pairs: np.ndarray, centers: np.ndarray) -> float:
    """Median distance between the centers of fibers in contact: about one fiber diameter.

    Parameters
    ----------
    pairs : (m, 2) array of int
        At least one contact.
    centers : (n, 2) array of float
    """
    return float(np.median(np.hypot(*(centers[pairs[:, 0]] - centers[pairs[:, 1]]).T)))


def smooth_share(centers: np.ndarray, is_type_i: np.ndarray, bandwidth: float) -> Float:
    """Share of type I around each fiber.

    Parameters
    ----------
    centers : (n, 2) array of float
        Row and column.
    is_type_i : (n,) array of bool
    bandwidth : float
        Standard deviation of the normal kernel, in the unit of the centers; on a grid of an
        eighth of it.

    Returns
    -------
    (n,) ndarray of float
        The trend of criteria §4.6.
    """
    from scipy.ndimage import gaussian_filter

    cell = ((centers - centers.min(axis=0)) / (bandwidth / 8)).astype(np.int64)
    shape = tuple(int(side) for side in cell.max(axis=0) + 1)
    place = np.ravel_multi_index((cell[:, 0], cell[:, 1]), shape)
    smoothed = [
        gaussian_filter(
            np.bincount(place, weight, int(np.prod(shape))).reshape(shape), 8, mode="constant"
        ).ravel()[place]
        for weight in (is_type_i.astype(float), np.ones(len(place)))
    ]
    return np.asarray(smoothed[0] / smoothed[1])


def trend_assortativity(pairs: np.ndarray, is_type_i: np.ndarray, share: np.ndarray) -> float:
    """Assortativity that fibers would have if each were of type I with its own probability.

    Parameters
    ----------
    pairs : (m, 2) array of int
    is_type_i : (n,) array of bool
    share : (n,) array of float
        From `smooth_share`.

    Returns
    -------
    float
        Covariance of the trend over contacts, over the variance of the type.
    """
    ends = is_type_i[pairs].mean()
    away = share[pairs] - ends
    return float((away[:, 0] * away[:, 1]).mean() / (ends * (1 - ends)))


def strata_of_trend(share: np.ndarray, size: int = STRATUM) -> NDArray[np.int64]:
    """Strata of fibers with nearly the same share of type I around them.

    Parameters
    ----------
    share : (n,) array of float
        From `smooth_share`.
    size : int, optional
        Fibers in a stratum, about.

    Returns
    -------
    (n,) ndarray of int
        By rank, so that a share that is too even at the borders does no harm.
    """
    rank = np.empty(len(share), dtype=np.int64)
    rank[np.argsort(share, kind="stable")] = np.arange(len(share))
    n_strata = max(len(share) // size, 1)
    return rank * n_strata // max(len(share), 1)


def summarize_trend(
    mosaic: TypeMosaic, rng: np.random.Generator, limits: Limits = DEFAULTS
) -> dict[str, Any] | None:
    """Say how much of the grouping is a trend of types across the section.

    Parameters
    ----------
    mosaic : TypeMosaic
        Of a section whose fascicles are not known, so that these do not hold the trend.
    rng : numpy.random.Generator
    limits : Limits, optional

    Returns
    -------
    dict or None
        None without the places of the fibers. ``bandwidth_um``; ``assortativity``, what the trend
        alone would give, and ``share`` of that observed; ``within_trend``, the primary test with
        types permuted among fibers with nearly the same share of type I around them, or
        ``why_not`` where the section spans fewer than three bandwidths.
    """
    if mosaic.centers is None:
        return None
    value = 1 - _different(mosaic) / _chance(mosaic)
    bandwidth = limits["trend_bandwidth"] * contact_distance(mosaic.pairs, mosaic.centers)
    share = smooth_share(mosaic.centers, mosaic.is_type_i, bandwidth)
    of_trend = trend_assortativity(mosaic.pairs, mosaic.is_type_i, share)
    result: dict[str, Any] = {
        "bandwidth_um": float(bandwidth),
        "assortativity": of_trend,
        "share": float(np.clip(of_trend / value, 0, 1)) if value > 0 else None,
        "within_trend": None,
        "why_not": None,
    }
    if np.ptp(mosaic.centers, axis=0).max() < 3 * bandwidth:
        result["why_not"] = "the section is too small to tell a trend from groups"
        return result
    first, second = mosaic.pairs.T

    def measure(columns: np.ndarray) -> np.ndarray:
        return np.count_nonzero(columns[first] != columns[second], axis=0)[:, None]

    permuted = measure_permuted(
        measure,
        mosaic.is_type_i.astype(np.int8),
        strata_of_trend(share),
        int(limits["exploratory_permutations"]),
        rng,
    )
    result["within_trend"] = permutation_entry(
        _different(mosaic),
        permuted[:, 0],
        tail="less",
        n=len(mosaic.pairs),
        null=f"types dealt out at random among about {STRATUM} fibers with the same share around",
    )
    return result


def _different(mosaic: TypeMosaic) -> float:
    ends = mosaic.is_type_i[mosaic.pairs]
    return float(np.count_nonzero(ends[:, 0] != ends[:, 1]))


def _chance(mosaic: TypeMosaic) -> float:
    """Joins between types of edges whose ends are drawn independently."""
    share = float(mosaic.is_type_i[mosaic.pairs].mean())
    return 2 * len(mosaic.pairs) * share * (1 - share)
