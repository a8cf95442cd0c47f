"""Levels of staining among the fibers of a section, on a smooth field of light and incubation.

The stain of fiber i of level k at place x is

    value = level_k + a(x) + b(x) c_k + error,    error ~ Student t, scale_k

where a and b are polynomials of low order that average to 0 over the fibers, and c_k is the place
of the level between the palest (-1/2) and the darkest (1/2). a is what light does to an optical
density and b what incubation and thickness do, which grow with the density itself. Both are fitted
together with the levels, so that a region with more fibers of one type is no shading. Criteria
§3.1; t-mixture after Peel & McLachlan 2000 (Stat Comput 10:339), fitted by
expectation-conditional-maximisation with ridge priors on a and b.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log, pi

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FREEDOM = 6.0
"""Degrees of freedom of the t distribution: fibers that are sick or badly cut pull little.
[default]"""
TO_SD = float(np.sqrt(FREEDOM / (FREEDOM - 2.0)))
"""Standard deviation of that distribution over its scale."""
HIGHEST_ORDER = 4
"""Highest order of the polynomials of the field. [default]"""

_FIELD_SD = (1.0, 0.5)
"""Prior standard deviation of the coefficients of a and b, in units of the spread of the values."""
_FIBERS_PER_NUMBER = 8
_LEAST_SCALE = 0.01
_SCALE_RATIO = 12.0
_FIRST_STEPS = 12
_MAX_STEPS = 100
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class LevelMixture:
    """Levels of staining, from pale to dark, on a smooth field.

    Attributes
    ----------
    levels
        (k,) value of each level, averaged over the section.
    sds
        (k,) standard deviation of the fibers of each level around it.
    weights
        (k,) share of the fibers of each level.
    order
        Order of the polynomials of the field, 0 for an even one.
    shift, contrast
        Their coefficients (a and b above).
    origin, reach, center
        Place that lies in the middle, half the extent (y, x) in µm, and the mean of the
        polynomials over the fibers that were fitted.
    bic
        Bayesian information criterion; lower is better.
    """

    levels: Floats
    sds: Floats
    weights: Floats
    order: int
    shift: Floats
    contrast: Floats
    origin: Floats
    reach: Floats
    center: Floats
    bic: float

    def local_levels(self, places: Floats) -> Floats:
        """Value of each level at places (n, 2) in µm: (n, k)."""
        basis = _basis((places - self.origin) / self.reach, self.order) - self.center
        shifted = self.levels + (basis @ self.shift)[:, None]
        return np.asarray(shifted + (basis @ self.contrast)[:, None] * _positions(self.levels))

    def separations(self) -> list[float]:
        """Ashman's D between each level and the next (Ashman et al. 1994, Astron J 108:2348)."""
        apart = np.diff(self.levels)
        together = np.sqrt(self.sds[1:] ** 2 + self.sds[:-1] ** 2)
        return [float(d) for d in np.sqrt(2.0) * apart / together]


def fit_levels(
    values: Floats, places: Floats, n_levels: int, starts: list[Codes] | None = None
) -> tuple[list[LevelMixture], list[Codes]]:
    """Fit a number of levels with fields of each order.

    Parameters
    ----------
    values : (n,) ndarray of float
        Stain of each fiber, finite.
    places : (n, 2) ndarray of float
        Where it lies (y, x), µm.
    n_levels : int
    starts : list of (n,) ndarray of int, optional
        Further divisions into levels to start from.

    Returns
    -------
    mixtures : list of LevelMixture
        The best for each order that the number of fibers allows, up to a second or later one
        that is no better than an even field.
    codes : list of (n,) ndarray of int
        The most likely level of each fiber in each of them.

    Notes
    -----
    Each fit starts from several divisions, since shading may hide the levels and a gradient of
    proportions may look like shading: that of the values, that of the values less their trend,
    that by levels which are found in parts of the section, and that of the order before.
    """
    spread = _spread(values)
    middle = float(np.median(values))
    scaled = (values - middle) / spread
    low, high = places.min(axis=0), places.max(axis=0)
    origin, reach = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
    unit = (places - origin) / reach
    plain = [_divide(scaled, n_levels), *(starts or [])]
    local = _divide_locally(scaled, unit, n_levels) if n_levels > 1 else None
    mixtures, codes = [], []
    before: list[Codes] = []
    for order in range(HIGHEST_ORDER + 1):
        basis = _basis(unit, order)
        n_free = 3 * n_levels - 1 + basis.shape[1] * (1 if n_levels == 1 else 2)
        if order and len(values) < _FIBERS_PER_NUMBER * n_free:
            break
        center = basis.mean(axis=0) if order else np.zeros(basis.shape[1])
        basis = basis - center
        tries = plain + before
        if order and n_levels > 1:
            trend = basis @ np.linalg.lstsq(basis, scaled - scaled.mean(), rcond=None)[0]
            tries = [*tries, _divide(scaled - trend, n_levels)]
            tries += [] if local is None else [local]
        if len(tries) > 1:
            short = [_fit(scaled, basis, start, n_levels, _FIRST_STEPS) for start in tries]
            tries = [np.argmax(max(short, key=lambda fit: fit[0])[-1], axis=1)]
        _, likelihood, levels, scales, weights, field, resp = _fit(
            scaled, basis, tries[0], n_levels, _MAX_STEPS
        )
        found = np.argsort(levels)
        # in the units of the values, so that models of other kinds can be compared
        bic = n_free * log(len(values)) - 2 * (likelihood - len(values) * log(spread))
        mixtures.append(
            LevelMixture(
                levels=levels[found] * spread + middle,
                sds=scales[found] * spread * TO_SD,
                weights=weights[found],
                order=order,
                shift=field[0] * spread,
                contrast=field[1] * spread,
                origin=origin,
                reach=reach,
                center=center,
                bic=float(bic),
            )
        )
        codes.append(np.argsort(found)[np.argmax(resp, axis=1)])
        before = [codes[-1]]
        if order > 1 and mixtures[-1].bic > mixtures[0].bic:
            break
    return mixtures, codes


def _spread(values: Floats) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high - low) or float(np.ptp(values)) or 1.0


def _basis(unit: Floats, order: int) -> Floats:
    """Products of Legendre polynomials up to an order, without the constant one: (n, terms)."""
    y, x = np.clip(unit, -1.0, 1.0).T
    y_terms, x_terms = (np.polynomial.legendre.legvander(side, max(order, 1)) for side in (y, x))
    terms = [
        y_terms[:, i] * x_terms[:, j]
        for i in range(order + 1)
        for j in range(order + 1 - i)
        if i + j > 0
    ]
    return np.stack(terms, axis=1) if terms else np.empty((len(unit), 0))


def _positions(levels: Floats) -> Floats:
    """Place of each level between the palest, -1/2, and the darkest, 1/2; 0 for a single one."""
    low, high = float(levels.min()), float(levels.max())
    if high <= low:
        return np.zeros(len(levels))
    return np.asarray((levels - low) / (high - low) - 0.5)


def _divide(values: Floats, n_levels: int) -> Codes:
    """Divide values so that those of each part differ least (Otsu 1979, for several levels)."""
    if n_levels == 1:
        return np.zeros(len(values), np.int64)
    # a straggler must not pass for a level
    low, high = np.percentile(values, (0.5, 99.5))
    edges = np.linspace(low, high, 49)[1:-1]
    bins = np.searchsorted(edges, np.clip(values, low, high))
    n = np.cumsum(np.bincount(bins, minlength=len(edges) + 1)).astype(float)
    total = np.cumsum(np.bincount(bins, weights=values, minlength=len(edges) + 1))
    cuts = np.arange(len(edges))
    if n_levels == 2:
        chosen = cuts[:, None]
    else:
        first, second = np.triu_indices(len(edges), 1)
        chosen = np.stack([first, second], axis=1)
    stops = np.concatenate([chosen, np.full((len(chosen), 1), len(edges))], axis=1)
    counts = np.diff(n[stops], axis=1, prepend=0.0)
    sums = np.diff(total[stops], axis=1, prepend=0.0)
    between = (sums**2 / np.maximum(counts, 1e-9)).sum(axis=1)
    between[(counts == 0).any(axis=1)] = -np.inf
    best = chosen[int(np.argmax(between))]
    return np.asarray(np.searchsorted(best, bins, side="left"), dtype=np.int64)


def _divide_locally(values: Floats, unit: Floats, n_levels: int) -> Codes | None:
    """Divide by a pale and a dark plane through parts of the section that show two levels."""
    cell = np.minimum(((unit + 1) * 2).astype(int), 3) @ np.array([4, 1])
    found = []
    for number in range(16):
        inside = np.flatnonzero(cell == number)
        if len(inside) < 12:
            continue
        part = values[inside]
        dark = _divide(part, 2) == 1
        if not 3 <= dark.sum() <= len(dark) - 3:
            continue
        within = part[dark].var() * dark.mean() + part[~dark].var() * (~dark).mean()
        # two halves of a single bell leave 0.36 of the variance, of a box 0.25
        if within < 0.2 * part.var():
            found.append((*unit[inside].mean(axis=0), part[~dark].mean(), part[dark].mean()))
    if len(found) < 4:
        return None
    rows = np.array(found)
    design = np.column_stack([np.ones(len(rows)), rows[:, :2]])
    pale, dark_plane = np.linalg.lstsq(design, rows[:, 2:], rcond=None)[0].T
    everywhere = np.column_stack([np.ones(len(unit)), unit])
    low, high = everywhere @ pale, everywhere @ dark_plane
    share = (values - low) / np.maximum(high - low, 1e-3)
    return np.asarray(np.clip(np.floor(share * n_levels), 0, n_levels - 1), dtype=np.int64)


_Fit = tuple[float, float, Floats, Floats, Floats, Floats, Floats]


def _fit(values: Floats, basis: Floats, start: Codes, n_levels: int, n_steps: int) -> _Fit:
    """Fit from one division: objective, log likelihood, levels, scales, weights, field, shares."""
    n, terms = basis.shape
    resp = np.eye(n_levels)[np.clip(start, 0, n_levels - 1)]
    precise = np.ones_like(resp)
    levels = np.array(
        [np.median(values[start == k]) if (start == k).any() else 0.0 for k in range(n_levels)]
    )
    scales = np.full(n_levels, max(float(np.std(values - levels[start])), _LEAST_SCALE))
    field = np.zeros((2, terms))
    weights = resp.mean(axis=0)
    ridge = np.repeat(1.0 / np.square(_FIELD_SD), terms)
    constant = lgamma((FREEDOM + 1) / 2) - lgamma(FREEDOM / 2) - 0.5 * log(FREEDOM * pi)
    objective = likelihood = -np.inf
    for step in range(n_steps):
        # the surfaces, with the places of the levels as they were
        place = _positions(levels)
        weight = resp * precise / scales**2
        levels, field = _surfaces(values, basis, weight, place, ridge)
        fitted = levels + (basis @ field[0])[:, None] + (basis @ field[1])[:, None] * place
        errors = values[:, None] - fitted
        held = np.maximum(resp.sum(axis=0), 1e-9)
        scales = np.sqrt((resp * precise * errors**2).sum(axis=0) / held)
        scales = np.maximum(scales, max(_LEAST_SCALE, float(scales.max()) / _SCALE_RATIO))
        weights = held / n
        squared = (errors / scales) ** 2
        logs = constant + np.log(weights) - np.log(scales)
        logs = logs - 0.5 * (FREEDOM + 1) * np.log1p(squared / FREEDOM)
        top = logs.max(axis=1, keepdims=True)
        shares = np.exp(logs - top)
        total = shares.sum(axis=1, keepdims=True)
        likelihood = float((top + np.log(total)).sum())
        resp = shares / total
        precise = (FREEDOM + 1) / (FREEDOM + squared)
        last, objective = objective, likelihood - 0.5 * float(ridge @ field.ravel() ** 2)
        if step > 4 and abs(objective - last) < _TOLERANCE * n:
            break
    return objective, likelihood, levels, scales, weights, field, resp


def _surfaces(
    values: Floats, basis: Floats, weight: Floats, place: Floats, ridge: Floats
) -> tuple[Floats, Floats]:
    """Levels and field that fit the values best, by weighted least squares with a ridge."""
    n_levels, terms = weight.shape[1], basis.shape[1]
    size = n_levels + 2 * terms
    normal, right = np.zeros((size, size)), np.zeros(size)
    normal[np.arange(n_levels), np.arange(n_levels)] = weight.sum(axis=0) + 1e-9
    right[:n_levels] = values @ weight
    if terms:
        shift = slice(n_levels, n_levels + terms)
        tilt = slice(n_levels + terms, size)
        crossed = basis.T @ weight
        normal[shift, :n_levels] = crossed
        normal[tilt, :n_levels] = crossed * place
        for rows, cols, power in ((shift, shift, 0), (tilt, shift, 1), (tilt, tilt, 2)):
            normal[rows, cols] = basis.T @ ((weight @ place**power)[:, None] * basis)
        normal[shift, tilt] = normal[tilt, shift].T
        normal[:n_levels, n_levels:] = normal[n_levels:, :n_levels].T
        normal[np.arange(n_levels, size), np.arange(n_levels, size)] += ridge
        weighted = values[:, None] * weight
        right[shift] = basis.T @ weighted.sum(axis=1)
        right[tilt] = basis.T @ (weighted @ place)
    solved = np.linalg.solve(normal, right)
    return solved[:n_levels], solved[n_levels:].reshape(2, terms)
