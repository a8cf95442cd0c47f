"""Whether the fibers of a section are of two sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.adequacy import requirement
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.two_modes import TwoModes, fit_two_modes
from biopsy_ai.measure.type_class import TYPE_I, TYPE_II, type_classes
from biopsy_ai.patterns.dip import NULL_SIZE, dip_statistic, simulate_dips
from biopsy_ai.patterns.permutation import permutation_p

N_SIMULATIONS = 999


def summarize_modes(
    table: pd.DataFrame, *, seed: int = 0, limits: Limits = DEFAULTS
) -> dict[str, Any]:
    """Describe the modes of fiber size of a section, and of each type where types are known.

    Parameters
    ----------
    table : DataFrame
        Columns ``min_feret_um``, ``excluded``, and ``type`` where known.
    seed : int, optional
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``all`` and ``by_type``, each from `describe_modes`; ``by_type`` has entries for
        I and II, and is empty where no type is known.
    """
    kept = table[~is_excluded(table)]
    by_type = {}
    if "type" in kept:
        classes = type_classes(kept["type"])
        by_type = {
            name: describe_modes(
                kept.loc[classes == name, "min_feret_um"].to_numpy(float), seed=seed, limits=limits
            )
            for name in (TYPE_I, TYPE_II)
            if (classes == name).any()
        }
    sizes = kept["min_feret_um"].to_numpy(float)
    return {"all": describe_modes(sizes, seed=seed, limits=limits), "by_type": by_type}


def describe_modes(
    diameters: NDArray[np.float64], *, seed: int = 0, limits: Limits = DEFAULTS
) -> dict[str, Any]:
    """Tell whether fiber diameters have one mode or two.

    Parameters
    ----------
    diameters : (n,) ndarray of float
        Min Feret in µm; what is not finite or not positive is left out.
    seed : int, optional
        For the simulated null of the dip.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``assessable`` and ``why_not``, ``n``, ``dip`` (a test entry), ``mixture``
        (weights, medians and log standard deviations of the two modes, ``delta_bic``,
        ``ashman_d``), ``bimodality_coefficient``, ``two_modes`` and a ``verdict`` in words.

    Notes
    -----
    Two modes: two Gaussians on ln d fit better than one by more than 10 of BIC, lie farther apart
    than Ashman's D of 2, and both hold more than 5 % (criteria §1.5 [E]). The dip test stands
    beside that: it has little power where the smaller mode holds less than a tenth. The bimodality
    coefficient, 5/9 for a uniform distribution, answers to skew as well and decides nothing. The
    histogram alone does not tell grouped from scattered atrophy, nor atrophy of one type from that
    of both.
    """
    given = np.asarray(diameters, float)
    sizes = given[np.isfinite(given) & (given > 0)]
    least = requirement("bimodality", "minimum", limits)
    assert least is not None
    empty = {"n": len(sizes), "two_modes": None, "limits": _limits(limits)}
    if len(sizes) < least.value:
        why = f"{len(sizes)} fibers are too few to tell one mode from two; {least.value:g} needed"
        return {"assessable": False, "why_not": why, **empty, "verdict": "not assessable"}
    logs = np.log(sizes)
    modes = fit_two_modes(logs)
    if modes is None:
        why = "all fibers are of the same size"
        return {"assessable": False, "why_not": why, **empty, "verdict": "not assessable"}
    two = modes.are_apart(limits)
    dip = _dip_entry(logs, seed)
    return {
        "assessable": True,
        "why_not": None,
        "n": len(sizes),
        "dip": dip,
        "mixture": _mixture(modes),
        "bimodality_coefficient": _bimodality_coefficient(logs),
        "two_modes": two,
        "verdict": _verdict(modes, two, dip["p"], limits),
        "limits": _limits(limits),
    }


def _dip_entry(logs: NDArray[np.float64], seed: int) -> dict[str, Any]:
    n = len(logs)
    observed = dip_statistic(logs)
    null = simulate_dips(n, n_simulations=N_SIMULATIONS, seed=seed)
    expected, sd = float(null.mean()), float(null.std(ddof=1))
    words = "one mode: as many values from a uniform distribution"
    if n > NULL_SIZE:
        words += f", simulated for {NULL_SIZE} values and scaled by the square root of the number"
    return {
        "observed": observed,
        "expected": expected,
        "sd": sd,
        "z": (observed - expected) / sd,
        "p": permutation_p(observed, null, tail="greater"),
        "n": n,
        "n_permutations": len(null),
        "null": words,
    }


def _mixture(modes: TwoModes) -> dict[str, Any]:
    return {
        "weights": list(modes.weights),
        "medians_um": [float(np.exp(mean)) for mean in modes.means],
        "log_sds": list(modes.sds),
        "delta_bic": modes.delta_bic,
        "ashman_d": modes.ashman_d,
    }


def _bimodality_coefficient(values: NDArray[np.float64]) -> float:
    """(skew² + 1) / (excess kurtosis + 3 (n - 1)² / ((n - 2) (n - 3)))."""
    n = len(values)
    z = (values - values.mean()) / values.std()
    skew, excess = float((z**3).mean()), float((z**4).mean()) - 3
    return (skew**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))


def _verdict(modes: TwoModes, two: bool, p: float, limits: Limits) -> str:
    if not two:
        return "compatible with one mode of fiber size"
    low, high = (float(np.exp(mean)) for mean in modes.means)
    beside = "the dip test agrees" if p < limits["pattern_p_below"] else "the dip test sees one"
    return (
        f"compatible with two modes of fiber size, at {low:.0f} and {high:.0f} µm, the smaller "
        f"with {100 * modes.weights[0]:.0f} % of the fibers; {beside} (p = {p:.3g})"
    )


def _limits(limits: Limits) -> dict[str, Any]:
    names = ("modes_delta_bic_above", "modes_ashman_d_above", "modes_weight_above")
    return {name: limits.reference(name).as_dict() for name in names}
