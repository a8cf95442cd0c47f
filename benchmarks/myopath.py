"""The MyoPath score of Zhong et al. 2026 (preprint): myopathy against normal muscle in H&E.

It is the only published logistic score of which all coefficients are known, and stands beside ours
as a comparator. It was fitted to sections of paraffin and knows no denervation.
"""

from __future__ import annotations

import math
from typing import Any

INTERCEPT = -9.17
COEFFICIENTS = {
    "centralization": 27.11,
    "cv_area": 3.96,
    "circularity": 8.22,
    "fat_percent": 0.017,
    "fibrosis_percent": 0.043,
    "nuclei_per_fiber": 0.123,
    "interstitial_per_mm2": 1e-6,
}
"""Of the nuclear centralization index, the coefficient of variation of the area of all fibers,
their mean circularity, fat and connective tissue in percent of the tissue, nuclei in fibers per
fiber, and nuclei between fibers per mm² of tissue."""


def myopath_score(measures: dict[str, float]) -> float:
    """Score from 0 to 100 of `COEFFICIENTS`' measures; NaN where one is missing."""
    z = INTERCEPT + sum(factor * measures[name] for name, factor in COEFFICIENTS.items())
    if math.isnan(z):
        return math.nan
    return 100 / (1 + math.exp(-z)) if z > -700 else 0.0


def myopath_measures(summary: dict[str, Any]) -> dict[str, float]:
    """Take the measures from the ``summary.json`` of a section."""
    nuclei, tissue = summary.get("nuclei") or {}, summary.get("tissue") or {}
    fibers = summary.get("fibers", {}).get("quantities") or {}
    return {
        "centralization": _known((nuclei.get("centralization") or {}).get("index")),
        "cv_area": _known((fibers.get("area_um2") or {}).get("cv")),
        "circularity": _known((fibers.get("circularity") or {}).get("mean")),
        "fat_percent": _known(tissue.get("fat_percent")),
        "fibrosis_percent": _known(tissue.get("connective_percent")),
        "nuclei_per_fiber": _known(nuclei.get("nuclei_per_fiber")),
        "interstitial_per_mm2": _known((nuclei.get("interstitial") or {}).get("per_mm2_tissue")),
    }


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)
