"""Measurements of the size and shape of fibers, and of what lies inside them."""

from __future__ import annotations

import numpy as np

from biopsy_ai.score.measurement import Measurement, constant, labels_of, missing
from biopsy_ai.score.resampling import Replicates
from biopsy_ai.score.section import Flags, Floats, Section

LEAST_SHAPES = 10
"""Fibers that a mean or scatter of shapes needs. [default]"""


def measure_shape(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Small angular and small round fibers, and how round all others are."""
    among = section.judged & (~section.atrophic | _shape_judged(section))
    if not among.any():
        why_not = missing(_no_sizes(section))
        shares = {"small_angular_fibers": why_not, "small_round_fibers": why_not}
    else:
        shares = {
            "small_angular_fibers": _percent(
                section, drawn, section.angular, among, section.column("angularity")
            ),
            "small_round_fibers": _percent(
                section, drawn, section.rounded, among, section.column("circularity")
            ),
        }
    shares["concave_small_fibers"] = _concavity(section, drawn)
    normal = section.shaped & ~section.atrophic
    n = int(np.count_nonzero(normal))
    if n < LEAST_SHAPES:
        return {**shares, "rounding": missing(f"only {n} fibers have a shape that can be judged")}
    circularity = section.column("circularity")
    mean, _ = drawn.moments(circularity, normal)
    very_round = normal & (circularity > 0.9)
    return {**shares, "rounding": Measurement(mean, n, labels_of(section, very_round, circularity))}


def _concavity(section: Section, drawn: Replicates) -> Measurement:
    """Concave part of the outline of atrophic fibers, beyond that of fibers of normal size, %.

    The others are the reference, for outlines are more or less ragged in different pictures.
    """
    concave = 100.0 * section.column("concave_fraction")
    small = section.shaped & section.atrophic & np.isfinite(concave)
    other = section.shaped & section.judged & ~section.atrophic & np.isfinite(concave)
    n = int(np.count_nonzero(small))
    if n < LEAST_SHAPES or np.count_nonzero(other) < LEAST_SHAPES:
        return missing(f"only {n} atrophic fibers have a shape that can be judged", n)
    values = drawn.moments(concave, small)[0] - drawn.moments(concave, other)[0]
    return Measurement(values, n, labels_of(section, small & (concave > 0), concave))


def measure_size(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Variability, atrophic and hypertrophic fibers, two modes of size."""
    found = {"size_variability": _variability(section, drawn)}
    size = section.column("min_feret_um")
    if section.judged.any():
        found["atrophic_fibers"] = _percent(section, drawn, section.atrophic, section.judged, -size)
        found["hypertrophy"] = _percent(section, drawn, section.hypertrophic, section.judged, size)
    else:
        found |= dict.fromkeys(("atrophic_fibers", "hypertrophy"), missing(_no_sizes(section)))
    found["bimodality"] = _modes(section, drawn)
    return found


def measure_nuclei(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Internal and central nuclei, and clumps of them."""
    names = ("internal_nuclei", "central_nuclei", "nuclear_clumps")
    nuclei = section.part("nuclei")
    if not nuclei.get("assessable"):
        return dict.fromkeys(names, missing(str(nuclei.get("why_not") or "nuclei are not known")))
    internal = section.column("n_internal_nuclei")
    among = section.measured & np.isfinite(internal)
    n = int(np.count_nonzero(among))
    if not n:
        return dict.fromkeys(names, missing("no measured fiber is known with its nuclei"))
    central = section.table["is_centrally_nucleated"].astype(str).str.lower() == "true"
    clumps = float(section.part("nuclei", "clumps").get("n") or 0)
    per_1000 = 1000.0 * clumps / len(section.table)
    scatter = 1000.0 * np.sqrt(clumps) / len(section.table)
    noise = np.random.default_rng([section.seed, 28]).standard_normal(drawn.weights.shape[1] - 1)
    replicated = np.maximum(np.concatenate([[per_1000], per_1000 + scatter * noise]), 0.0)
    return {
        "internal_nuclei": _percent(section, drawn, internal > 0, among, internal),
        "central_nuclei": _percent(section, drawn, central.to_numpy(bool), among, internal),
        "nuclear_clumps": Measurement(replicated, len(section.table)),
    }


def measure_conditions(section: Section, drawn: Replicates) -> dict[str, Measurement]:
    """Necrosis, regeneration, splitting, hypercontraction, vacuoles, targets and cores."""
    found = {}
    for name, column in (
        ("necrosis", "necrotic"),
        ("regeneration", "regenerating"),
        ("splitting", "split"),
        ("hypercontraction", "hypercontracted"),
        ("vacuoles", "vacuolated"),
    ):
        of = section.part("condition", column)
        probability = section.column(column)
        among = section.measured & np.isfinite(probability)
        if not of.get("assessable") or not among.any():
            why_not = str(of.get("why_not") or "this stain or picture does not show it")
            found[name] = missing(why_not)
        else:
            found[name] = _percent(section, drawn, probability >= 0.5, among, probability)
    cores = section.part("cores")
    kinds = (
        section.table["core"].astype(object).fillna("").astype(str)
        if "core" in section.table
        else None
    )
    ratio = section.column("core_depth_ratio")
    among = section.measured & np.isfinite(ratio)
    for name, kind in (("target_fibers", "target"), ("core_like_fibers", "core-like")):
        if not cores.get("assessable") or kinds is None or not among.any():
            found[name] = missing(
                str(cores.get("why_not") or "targets and cores show on NADH-TR, SDH and COX")
            )
        else:
            found[name] = _percent(section, drawn, (kinds == kind).to_numpy(bool), among, -ratio)
    return found


def _percent(
    section: Section, drawn: Replicates, marks: Flags, among: Flags, by: Floats
) -> Measurement:
    marks = marks & among
    n, found = int(np.count_nonzero(among)), int(np.count_nonzero(marks))
    share = 100.0 * drawn.share(marks, among)
    share = np.where(np.isfinite(share), share, share[0])
    # none of few fibers is no proof of none: the error of a share with half a fiber more
    likely = (found + 0.5) / (n + 1)
    least = 100.0 * np.sqrt(likely * (1 - likely) / (n + 1))
    return Measurement(share, n, labels_of(section, marks, by), least_sd=float(least))


def _shape_judged(section: Section) -> Flags:
    column = section.table["is_angular_atrophic"]
    return (column.notna() & (column.astype(str) != "")).to_numpy(bool)


def _variability(section: Section, drawn: Replicates) -> Measurement:
    """1000 SD / mean of min Feret; within type I and II where most fibers are typed."""
    size = section.column("min_feret_um")
    among = section.measured & np.isfinite(size)
    n = int(np.count_nonzero(among))
    if n < LEAST_SHAPES:
        return missing(f"only {n} fibers were measured")
    typed = among & (section.classes != "")
    groups = [among]
    if np.count_nonzero(typed) >= 0.8 * n:
        parts = [typed & (section.classes == kind) for kind in ("I", "II")]
        groups = [part for part in parts if np.count_nonzero(part) >= LEAST_SHAPES]
    squares, total = np.zeros(drawn.weights.shape[1]), np.zeros(drawn.weights.shape[1])
    for group in groups or [among]:
        mean, sd = drawn.moments(size, group)
        weight = drawn.total(group)
        squares += weight * (sd / mean) ** 2
        total += weight
    return Measurement(1000.0 * np.sqrt(squares / np.maximum(total, 1e-12)), n)


def _modes(section: Section, drawn: Replicates) -> Measurement:
    modes = section.part("patterns", "size_modes", "all")
    if not modes.get("assessable"):
        return missing(str(modes.get("why_not") or "the sizes were not looked at"))
    two = bool(modes.get("two_modes"))
    separation = float((modes.get("mixture") or {}).get("ashman_d") or 0.0) if two else 0.0
    words = {"modes": "two modes" if two else "one mode"}
    values = constant(separation, drawn.weights.shape[1])
    return Measurement(values, int(modes.get("n") or 0), words=words, absent=not two)


def _no_sizes(section: Section) -> str:
    small = section.part("fibers", "small_fibers")
    why_not = small.get("missing") or section.part("patterns", "grouped_atrophy").get("cannot_tell")
    return str(why_not or "it cannot be told which fibers are small")
