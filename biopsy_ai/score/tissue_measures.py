"""Measurements of what lies between the fibers, and of the quality of the section."""

from __future__ import annotations

import numpy as np

from biopsy_ai.score.measurement import Measurement, constant, missing
from biopsy_ai.score.resampling import Replicates
from biopsy_ai.score.section import Section


def measure_tissue(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Endomysium, perimysium and fat, and clusters of interstitial nuclei."""
    tissue, n = section.part("tissue"), int(np.count_nonzero(section.measured))
    found = {}
    for name, key in (
        ("endomysial_fibrosis", "endomysium_of_muscle_percent"),
        ("perimysial_fibrosis", "perimysium_percent"),
        ("fat_replacement", "fat_percent"),
    ):
        value = tissue.get(key)
        if not tissue.get("assessable") or value is None:
            found[name] = missing(str(tissue.get("why_not") or "the tissue is not known"))
        else:
            found[name] = Measurement(constant(value, drawn.weights.shape[1]), n)
    return {**found, "inflammation": _clusters(section, drawn)}


def _clusters(section: Section, drawn: Replicates) -> Measurement:
    """Nuclei in clusters per mm² of tissue, outside fibers, vessels and nerves."""
    nuclei = section.part("nuclei")
    clusters = section.part("nuclei", "clusters")
    area = section.part("tissue").get("area_um2")
    if not nuclei.get("assessable") or clusters.get("n_nuclei") is None or not area:
        return missing(str(nuclei.get("why_not") or "nuclei or tissue are not known"))
    number, per_mm2 = int(clusters.get("n") or 0), 1e6 * float(clusters["n_nuclei"]) / float(area)
    # clusters come and go as a whole
    rng = np.random.default_rng([section.seed, 496])
    drawn_numbers = rng.poisson(number, drawn.weights.shape[1] - 1) / max(number, 1)
    values = per_mm2 * np.concatenate([[1.0], drawn_numbers])
    return Measurement(values, int(section.part("nuclei", "interstitial").get("n") or 0))


def measure_quality(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Oblique cutting, and what of the tissue is not to be trusted."""
    n_values = drawn.weights.shape[1]
    oblique, quality = section.part("fibers", "obliquity"), section.part("quality")
    found = {
        "obliquity": missing("no fiber was measured"),
        "artefact": missing(str(quality.get("why_not") or "the picture is not known")),
    }
    aspect = oblique.get("median_feret_aspect_ratio")
    if aspect is not None:
        cut = bool(oblique.get("oblique"))
        words = {"aligned": "lie drawn out in one direction" if cut else "have no common direction"}
        n = int(np.count_nonzero(section.measured))
        grade = "moderate" if cut else "absent"
        found["obliquity"] = Measurement(constant(aspect, n_values), n, words=words, grade=grade)
    excluded = quality.get("excluded_percent")
    if quality.get("assessable") and excluded is not None:
        n_tiles = int(quality.get("n_tiles") or 0)
        found["artefact"] = Measurement(constant(excluded, n_values), n_tiles)
    return found
