"""What the nuclei of a section say, ready for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.nuclear_groups import VESSEL
from biopsy_ai.measure.nuclei import CLASSES, count_nuclei
from biopsy_ai.measure.reference import DEFAULTS, Limits


def summarize_nuclei(
    nuclei: pd.DataFrame | None,
    fibers: pd.DataFrame,
    *,
    tissue_area_um2: float | None = None,
    interstitium_area_um2: float | None = None,
    clusters: np.ndarray | None = None,
    clumps: np.ndarray | None = None,
    why_not: str = "",
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Summarize the nuclei of one section.

    Parameters
    ----------
    nuclei : DataFrame or None
        From `biopsy_ai.measure.nuclei.measure_nuclei`; None where they cannot be assessed.
    fibers : DataFrame
        Columns ``label`` and ``excluded``. Excluded fibers, and the nuclei in them, do not count.
    tissue_area_um2, interstitium_area_um2 : float, optional
        Area of tissue, and of endomysium and perimysium in it, for the densities.
    clusters, clumps : (n,) arrays of int, optional
        From `biopsy_ai.measure.nuclear_groups`.
    why_not : str, optional
        Why nuclei cannot be assessed.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready. ``{"assessable": False, "why_not": ...}`` where nuclei cannot be assessed,
        never a count of 0. Otherwise the counts by class, ``internal_fiber_percent`` with its 95 %
        Wilson interval in ``internal_fibers``, the nuclear centralization index, interstitial
        nuclei per mm², clusters and clumps.

    Notes
    -----
    Below 3 % of fibers with internal nuclei is said to be normal in adults, which no primary
    source was found for [M]. Near tendons internal nuclei are normal.
    """
    if nuclei is None:
        return {"assessable": False, "why_not": why_not or "no nuclei were looked for"}
    kept = fibers.loc[~is_excluded(fibers), "label"].to_numpy()
    counts = count_nuclei(nuclei, kept)
    kind = nuclei["class"].to_numpy()
    inside = nuclei["fiber"].isin(kept).to_numpy()
    internal = share_of(int((counts["n_internal_nuclei"] > 0).sum()), len(kept))
    between = kind == "interstitial"
    vascular = between & (nuclei["tissue_class"] == VESSEL).fillna(False).to_numpy(bool)
    loose = int(np.count_nonzero(between & ~vascular))
    return {
        "assessable": True,
        "n_nuclei": len(nuclei),
        "by_class": {name: int(np.count_nonzero(kind == name)) for name in CLASSES},
        "n_fibers": len(kept),
        "nuclei_per_fiber": float(counts["n_nuclei"].mean()) if len(kept) else None,
        "internal_fiber_percent": _percent(internal),
        "internal_fibers": internal,
        "internal_normal_below_percent": limits.reference(
            "internal_fibers_normal_percent"
        ).as_dict(),
        "centrally_nucleated_fibers": share_of(
            int(counts["is_centrally_nucleated"].sum()), len(kept)
        ),
        "centralization": nuclear_centralization(
            nuclei.loc[inside, "relative_depth"].to_numpy(), limits
        ),
        "interstitial": {
            "n": loose,
            "n_in_vessels_and_nerves": int(np.count_nonzero(vascular)),
            "per_mm2_tissue": _density(loose, tissue_area_um2),
            "per_mm2_interstitium": _density(loose, interstitium_area_um2),
        },
        "clusters": _groups(clusters, tissue_area_um2),
        "clumps": _groups(clumps, tissue_area_um2),
        "limits": {
            name: limits.reference(name).as_dict()
            for name in (
                "internal_depth_um",
                "internal_depth_margin_um",
                "central_depth_share",
                "cluster_min_nuclei",
                "cluster_distance_um",
                "clump_min_nuclei",
                "clump_diameter_um",
                "clump_cytoplasm_share",
                "touching_gap_um",
            )
        },
    }


def nuclear_centralization(relative_depth: np.ndarray, limits: Limits = DEFAULTS) -> dict[str, Any]:
    """Nuclear centralization index: mean depth of nuclei in fibers, in radii.

    Parameters
    ----------
    relative_depth : (n,) array of float
        Depth of each nucleus below the border of its fiber over the fiber's equivalent radius.
    limits : Limits, optional

    Returns
    -------
    dict
        ``n``, ``index`` (None without nuclei) and ``central_share``, the share of nuclei with a
        relative depth of 0.7 and more.

    Notes
    -----
    ``mean(min(d / sqrt(A / pi), 1))`` (Zhong et al. 2026, medRxiv 2026.05.27.26349805, whose
    authors call less than 0.03 normal; that range is stated for their own outlines, depends on how
    closely nuclei at the border are outlined, and is not taken over here).
    """
    depths = np.asarray(relative_depth, dtype=float)
    depths = np.minimum(depths[np.isfinite(depths)], 1.0)
    if not len(depths):
        return {"n": 0, "index": None, "central_share": None}
    return {
        "n": len(depths),
        "index": float(depths.mean()),
        "central_share": float(np.mean(depths >= limits["central_zone_from"])),
    }


def _percent(share: dict[str, Any]) -> float | None:
    return None if share["share"] is None else 100.0 * float(share["share"])


def _density(count: int, area_um2: float | None) -> float | None:
    return count / area_um2 * 1e6 if area_um2 else None


def _groups(numbers: np.ndarray | None, area_um2: float | None) -> dict[str, Any] | None:
    if numbers is None:
        return None
    sizes = np.bincount(numbers[numbers > 0])[1:]
    return {
        "n": len(sizes),
        "n_nuclei": int(sizes.sum()),
        "largest": int(sizes.max(initial=0)),
        "per_mm2_tissue": _density(len(sizes), area_um2),
    }
