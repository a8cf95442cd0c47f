"""Tissue of biopsies with a known disease: normal muscle that moves towards it by the severity.

Every parameter has a range of its own, wider than those of criteria §9, which the evidence file
assumes, and the ranges of diseases overlap. The presets of the generator have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from biopsy_ai.synthesis import TissueParams

HEALTHY = ("normal", "ageing")

MUSCLES = {"vastus lateralis": 0.52, "biceps brachii": 0.4, "deltoid": 0.55}
"""Muscles that are biopsied, and the usual share of type I."""

Values = dict[str, Any]
"""Parameters of `TissueParams` on their way from normal to the disease."""


def draw_tissue(
    disease: str, severity: float, sex: str, age: int, muscle: str, rng: np.random.Generator
) -> TissueParams:
    """Draw normal muscle and change it by age and disease."""
    values = _normal(sex, muscle, rng)
    if disease == "ageing":
        _age(values, severity, rng, units=rng.random() < 0.6)
    elif age > 70:
        _age(values, float(rng.uniform(0, 1)), rng, units=False)
    if disease == "mixed":
        nerve = (_active_denervation, _chronic_reinnervation)[int(rng.integers(2))]
        muscle_disease = (_dystrophy, _inflammatory)[int(rng.integers(2))]
        for change in (muscle_disease, nerve):
            change(values, severity * float(rng.uniform(0.65, 1.0)), rng)
    elif disease not in HEALTHY:
        _CHANGES[disease](values, severity, rng)
    return _tissue(values)


def _normal(sex: str, muscle: str, rng: np.random.Generator) -> Values:
    """Normal adult muscle, with the spread between persons and laboratories."""
    type1, type2 = (61.0, 66.0) if sex == "male" else (53.0, 48.0)
    size = float(np.exp(rng.normal(0, 0.09)))
    return {
        "type1_um": type1 * size * float(np.exp(rng.normal(0, 0.04))),
        "type2_um": type2 * size * float(np.exp(rng.normal(0, 0.06))),
        "diameter_cv": _between(rng, 0.12, 0.20),
        "type1_share": float(np.clip(rng.normal(MUSCLES[muscle], 0.09), 0.25, 0.75)),
        "grouping": 0.0,
        "atrophic_share": _between(rng, 0.0, 0.02),
        "atrophic_type": 0,
        "smallest_um": _between(rng, 8.0, 16.0),
        "largest_small_um": _between(rng, 22.0, 34.0),
        "grouped_atrophy": 0.0,
        "angular_share": _between(rng, 0.05, 0.4),
        "hypertrophic_share": _between(rng, 0.0, 0.02),
        "rounding": _between(rng, 0.08, 0.32),
        "endomysium_um": _between(rng, 1.0, 3.0),
        "perimysium_um": float(np.clip(rng.lognormal(np.log(26), 0.4), 10, 80)),
        "fascicle_um": _between(rng, 380.0, 900.0),
        "crack_um": float(rng.choice([0.0, rng.exponential(0.8), rng.exponential(1.6)])),
        "internal_nuclei": _between(rng, 0.005, 0.03),
        "nuclei_per_fiber": _between(rng, 1.5, 3.0),
        "necrotic": _rarely(rng, 0.1, 0.0, 0.003),
        "regenerating": _rarely(rng, 0.1, 0.0, 0.003),
        "fat": min(float(rng.exponential(0.006)), 0.03),
        "lobules": _rarely(rng, 0.1, 0.0, 0.03),
        "stretch": 1 + abs(float(rng.normal(0, 0.06))) + _rarely(rng, 0.08, 0.1, 0.5),
        "glass": _rarely(rng, 0.25, 0.02, 0.2),
        "border_type2": _between(rng, 0.0, 0.12),
        "hybrid_share": _between(rng, 0.0, 0.03),
        "motor_unit_fibers": _between(rng, 12.0, 40.0),
        "motor_unit_reach": _between(rng, 6.0, 15.0),
    }


def _age(values: Values, degree: float, rng: np.random.Generator, *, units: bool) -> None:
    """Old age: smaller type II, a few lost motor units or small fibers, more fat."""
    values["type2_um"] *= _towards(degree, rng, 0.72, 0.92)
    values["type1_um"] *= _towards(degree, rng, 0.92, 1.0)
    _add(values, "diameter_cv", degree, rng, 0.0, 0.05)
    _add(values, "hybrid_share", degree, rng, 0.0, 0.05)
    _add(values, "fat", degree, rng, 0.0, 0.05)
    _add(values, "endomysium_um", degree, rng, 0.0, 0.8)
    _add(values, "internal_nuclei", degree, rng, -0.005, 0.005)
    _add(values, "atrophic_share", degree, rng, 0.0, 0.04)
    values["atrophic_type"] = 2
    if units:
        values["motor_units_lost"] = degree * _between(rng, 0.05, 0.28)
        values["recapture"] = _between(rng, 0.85, 0.97)


def _active_denervation(values: Values, severity: float, rng: np.random.Generator) -> None:
    """Fibers lose their nerve faster than others take them over."""
    if rng.random() < 0.6:
        values["motor_units_lost"] = severity * _between(rng, 0.5, 0.9)
        values["recapture"] = _between(rng, 0.2, 0.65)
    else:
        _add(values, "atrophic_share", severity, rng, 0.25, 0.6)
        values["grouped_atrophy"] = _between(rng, 0.15, 0.9)
        values["grouping"] = severity * _between(rng, 0.0, 0.35)
        values["atrophic_type"] = 0
    values["angular_share"] = _between(rng, 0.45, 0.9)
    values["smallest_um"] = _between(rng, 6.0, 13.0)
    values["largest_small_um"] = _between(rng, 18.0, 32.0)
    for name in ("type1_um", "type2_um"):
        values[name] *= _towards(severity, rng, 0.82, 1.08)
    _add(values, "diameter_cv", severity, rng, 0.0, 0.07)
    _add(values, "hypertrophic_share", severity, rng, 0.0, 0.1)
    _add(values, "hybrid_share", severity, rng, 0.0, 0.06)
    _add(values, "internal_nuclei", severity, rng, 0.0, 0.015)
    _add(values, "clumped", severity, rng, 0.0, 0.2)
    _add(values, "fat", severity, rng, 0.0, 0.06)
    _add(values, "necrotic", severity, rng, 0.0, 0.002)


def _chronic_reinnervation(values: Values, severity: float, rng: np.random.Generator) -> None:
    """Few motor units are left; their fibers are large and lie in groups."""
    if rng.random() < 0.65:
        values["motor_units_lost"] = severity * _between(rng, 0.6, 0.95)
        values["recapture"] = _between(rng, 0.6, 0.92)
    else:
        _add(values, "atrophic_share", severity, rng, 0.08, 0.4)
        values["grouping"] = severity * _between(rng, 0.6, 1.0)
        values["grouped_atrophy"] = _between(rng, 0.4, 1.0)
        values["atrophic_type"] = 0
    values["angular_share"] = _between(rng, 0.2, 0.65)
    values["smallest_um"] = _between(rng, 7.0, 14.0)
    values["largest_small_um"] = _between(rng, 18.0, 32.0)
    _shift_types(values, severity * float(rng.normal(0, 0.18)))
    values["type1_um"] *= _towards(severity, rng, 1.0, 1.3)
    values["type2_um"] *= _towards(severity, rng, 0.85, 1.2)
    _add(values, "diameter_cv", severity, rng, 0.0, 0.08)
    _add(values, "hypertrophic_share", severity, rng, 0.03, 0.25)
    _add(values, "hybrid_share", severity, rng, 0.0, 0.08)
    _add(values, "internal_nuclei", severity, rng, 0.0, 0.07)
    _add(values, "clumped", severity, rng, 0.0, 0.35)
    _add(values, "split", severity, rng, 0.0, 0.03)
    _add(values, "whorled", severity, rng, 0.0, 0.03)
    _add(values, "fat", severity, rng, 0.0, 0.15)
    _add(values, "lobules", severity, rng, *((0.0, 0.25) if rng.random() < 0.4 else (0, 0)))
    _add(values, "endomysium_um", severity, rng, 0.0, 2.5)
    if rng.random() < 0.2:
        # muscle that has long been without nerve looks myopathic, too
        _add(values, "necrotic", severity, rng, 0.0, 0.006)
        _add(values, "regenerating", severity, rng, 0.0, 0.008)
        _add(values, "rounding", severity, rng, 0.0, 0.3)


def _dystrophy(values: Values, severity: float, rng: np.random.Generator) -> None:
    """Fibers of all sizes, round, with internal nuclei, dying and regrowing; scar and fat."""
    _add(values, "diameter_cv", severity, rng, 0.1, 0.32)
    for name in ("type1_um", "type2_um"):
        values[name] *= _towards(severity, rng, 0.82, 1.12)
    _shift_types(values, severity * _between(rng, -0.05, 0.2))
    _add(values, "atrophic_share", severity, rng, 0.02, 0.2)
    values["atrophic_type"] = 0
    values["angular_share"] = _between(rng, 0.03, 0.28)
    _add(values, "hypertrophic_share", severity, rng, 0.03, 0.25)
    _add(values, "rounding", severity, rng, 0.2, 0.7)
    _add(values, "internal_nuclei", severity, rng, 0.04, 0.32)
    _add(values, "endomysium_um", severity, rng, 1.0, 11.0)
    if rng.random() < 0.6:
        _add(values, "fibrosis", severity, rng, 0.1, 0.9)
        values["fibrosis_um"] = _between(rng, 4.0, 12.0)
    _add(values, "fat", severity, rng, 0.0, 0.2)
    _add(values, "lobules", severity, rng, *((0.02, 0.4) if rng.random() < 0.5 else (0, 0)))
    _add(values, "necrotic", severity, rng, 0.002, 0.03)
    _add(values, "regenerating", severity, rng, 0.004, 0.05)
    _add(values, "phagocytosed", severity, rng, 0.0, 0.015)
    _add(values, "hypercontracted", severity, rng, 0.0, 0.03)
    _add(values, "vacuolated", severity, rng, 0.0, 0.02)
    _add(values, "split", severity, rng, 0.0, 0.06)
    _add(values, "whorled", severity, rng, 0.0, 0.03)
    _add(values, "inflammation", severity, rng, 0.0, 0.025)
    _add(values, "clumped", severity, rng, *((0.0, 0.1) if rng.random() < 0.3 else (0, 0)))


def _inflammatory(values: Values, severity: float, rng: np.random.Generator) -> None:
    """Small fibers under the perimysium, infiltrates, necrosis and regeneration."""
    values["fascicle_um"] = _between(rng, 280.0, 650.0)
    if rng.random() < 0.85:
        values["perifascicular_atrophy"] = severity * _between(rng, 0.35, 1.0)
    for name in ("type1_um", "type2_um"):
        values[name] *= _towards(severity, rng, 0.78, 1.0)
    _shift_types(values, severity * _between(rng, -0.15, 0.05))
    _add(values, "diameter_cv", severity, rng, 0.03, 0.15)
    _add(values, "atrophic_share", severity, rng, 0.0, 0.12)
    values["atrophic_type"] = 0
    values["angular_share"] = _between(rng, 0.1, 0.42)
    _add(values, "hypertrophic_share", severity, rng, 0.0, 0.05)
    _add(values, "hybrid_share", severity, rng, 0.0, 0.07)
    _add(values, "rounding", severity, rng, 0.05, 0.4)
    _add(values, "internal_nuclei", severity, rng, 0.01, 0.07)
    _add(values, "necrotic", severity, rng, 0.003, 0.035)
    _add(values, "regenerating", severity, rng, 0.005, 0.045)
    _add(values, "phagocytosed", severity, rng, 0.0, 0.02)
    _add(values, "vacuolated", severity, rng, 0.0, 0.025)
    _add(values, "inflammation", severity, rng, 0.01, 0.09)
    _add(values, "fat", severity, rng, 0.0, 0.04)
    _add(values, "endomysium_um", severity, rng, 0.0, 2.5)
    values["perimysium_um"] *= _towards(severity, rng, 1.0, 2.0)


def _type2_atrophy(values: Values, severity: float, rng: np.random.Generator) -> None:
    """Disuse, steroids, old age: type II alone is small."""
    values["type2_um"] *= _towards(severity, rng, 0.48, 0.72)
    values["type1_um"] *= _towards(severity, rng, 0.9, 1.02)
    _add(values, "atrophic_share", severity, rng, 0.03, 0.25)
    values["atrophic_type"] = 2
    values["angular_share"] = _between(rng, 0.2, 0.6)
    _add(values, "diameter_cv", severity, rng, 0.0, 0.05)
    _add(values, "fat", severity, rng, 0.0, 0.03)


_CHANGES: dict[str, Callable[[Values, float, np.random.Generator], None]] = {
    "active_denervation": _active_denervation,
    "chronic_reinnervation": _chronic_reinnervation,
    "dystrophy": _dystrophy,
    "inflammatory": _inflammatory,
    "type2_atrophy": _type2_atrophy,
}


def _tissue(values: Values) -> TissueParams:
    """Bring the parameters into the ranges that can be drawn."""
    values = dict(values)
    sizes = (values.pop("type1_um"), values.pop("type2_um"))
    small = (values.pop("smallest_um"), values.pop("largest_small_um"))
    for name, (low, high) in _RANGES.items():
        if name in values:
            values[name] = float(np.clip(values[name], low, high))
    return TissueParams(
        diameter_um=(float(np.clip(sizes[0], 16, 100)), float(np.clip(sizes[1], 16, 100))),
        atrophic_diameter_um=small,
        fill_gaps=True,
        **values,
    )


_RANGES = {
    "diameter_cv": (0.08, 0.6),
    "type1_share": (0.08, 0.92),
    "atrophic_share": (0.0, 0.7),
    "hypertrophic_share": (0.0, 0.4),
    "rounding": (0.0, 0.95),
    "endomysium_um": (0.6, 18.0),
    "perimysium_um": (8.0, 140.0),
    "internal_nuclei": (0.0, 0.5),
    "fat": (0.0, 0.35),
    "lobules": (0.0, 0.45),
    "hybrid_share": (0.0, 0.2),
    "stretch": (1.0, 1.7),
}


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _rarely(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    """Draw a value that is 0 in most biopsies."""
    value = _between(rng, low, high)
    return value if rng.random() < chance else 0.0


def _towards(severity: float, rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a factor that is 1 without disease."""
    return 1 + severity * (_between(rng, low, high) - 1)


def _add(
    values: Values, name: str, severity: float, rng: np.random.Generator, low: float, high: float
) -> None:
    """Add what the disease adds at most, by the severity."""
    values[name] = values.get(name, 0.0) + severity * _between(rng, low, high)


def _shift_types(values: Values, by: float) -> None:
    values["type1_share"] = values["type1_share"] + by
