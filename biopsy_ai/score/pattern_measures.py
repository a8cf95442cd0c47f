"""Measurements of how types and atrophic fibers lie beside each other, and of the types."""

from __future__ import annotations

import numpy as np

from biopsy_ai.score.evidence import Traps
from biopsy_ai.score.measurement import Measurement, constant, labels_of, missing, shifted
from biopsy_ai.score.resampling import Replicates
from biopsy_ai.score.section import Flags, Section

LEAST_ATROPHIC = 5
"""Atrophic fibers that a grouping of them needs; fewer are no grouped atrophy. [default]"""


def measure_grouping(section: Section, drawn: Replicates) -> Measurement:
    """Assortativity of types above what chance gives within fascicle and layer."""
    found = section.part("patterns", "type_grouping")
    if not found.get("assessable"):
        return missing(str(found.get("why_not") or "the fibers were not typed"))
    typed = (section.classes != "") & section.measured
    pairs = section.pairs[typed[section.pairs].all(axis=1)]
    replicated = drawn.assortativity(pairs, section.classes == "I")
    value = float(found["assortativity_detail"]["above_chance"])
    grouped = section.column("group")
    return Measurement(
        shifted(value, replicated),
        int(found["n_edges"]),
        labels_of(section, np.isfinite(grouped) & (grouped > 0)),
    )


def measure_grouped_atrophy(section: Section, drawn: Replicates, traps: Traps) -> Measurement:
    """Assortativity of atrophic fibers above what chance gives."""
    found = section.part("patterns", "grouped_atrophy")
    n_atrophic = int(np.count_nonzero(section.atrophic))
    n = int(np.count_nonzero(section.judged))
    n_values = drawn.weights.shape[1]
    if not n:
        return missing(str(found.get("cannot_tell") or found.get("why_not") or "sizes not judged"))
    if n_atrophic < LEAST_ATROPHIC and n < traps.few_fibers:
        return missing(f"{n_atrophic} atrophic of {n} fibers: too few to lie in groups", n)
    if n_atrophic < LEAST_ATROPHIC:
        return Measurement(constant(0.0, n_values), n, absent=True)
    if not found.get("assessable") or found.get("excess") is None:
        return missing(str(found.get("why_not") or "not tested"))
    pairs = section.pairs[section.judged[section.pairs].all(axis=1)]
    replicated = drawn.assortativity(pairs, section.atrophic)
    cluster = section.column("atrophy_cluster")
    return Measurement(
        shifted(float(found["excess"]), replicated),
        n,
        labels_of(section, np.isfinite(cluster) & (cluster > 0)),
    )


def measure_perifascicular(section: Section, drawn: Replicates) -> Measurement:
    """Diameter of the fibers that touch perimysium over that of inner ones."""
    found = section.part("patterns", "perifascicular_atrophy")
    if not found.get("assessable") or found.get("ratio") is None:
        return missing(str(found.get("why_not") or "not tested"))
    layer, size = section.column("layer"), section.column("min_feret_um")
    outer, inner = section.measured & (layer == 1), section.measured & (layer == 3)
    logs = np.log(np.maximum(size, 1e-6))
    at_edge, _ = drawn.moments(logs, outer)
    inside, _ = drawn.moments(logs, inner)
    ratio = float(found["ratio"])
    replicated = ratio * np.exp((at_edge - inside) - (at_edge[0] - inside[0]))
    replicated = np.where(np.isfinite(replicated), replicated, ratio)
    small = section.atrophic & (layer == 1)
    return Measurement(replicated, int(found.get("n") or 0), labels_of(section, small, -size))


def measure_types(
    section: Section, drawn: Replicates, traps: Traps, *, elderly: bool
) -> dict[str, Measurement]:
    """Predominance, and atrophy of one type alone."""
    names = ("type_predominance", "type_2_atrophy", "type_1_atrophy")
    typed = section.measured & (section.classes != "")
    n = int(np.count_nonzero(typed))
    types = section.part("types")
    if not n or types.get("assessable") is False:
        why_not = str(types.get("why_not") or "the fibers were not typed")
        return dict.fromkeys(names, missing(why_not))
    of = {kind: typed & (section.classes == kind) for kind in ("I", "II")}
    share = 100.0 * drawn.share(of["I"], typed)
    found = {
        "type_predominance": Measurement(
            np.where(np.isfinite(share), share, share[0]), n, grade=_predominance(section)
        )
    }
    for name, own, other in (("type_2_atrophy", "II", "I"), ("type_1_atrophy", "I", "II")):
        found[name] = _selective(section, drawn, of, own, other, traps, elderly=elderly)
    return found


def _predominance(section: Section) -> str:
    found = section.part("types", "predominance")
    if not found.get("assessable"):
        return "not assessable"
    return "mild" if found.get("predominant") else "absent"


def _selective(
    section: Section,
    drawn: Replicates,
    of: dict[str, Flags],
    own: str,
    other: str,
    traps: Traps,
    *,
    elderly: bool,
) -> Measurement:
    fewest = min(int(np.count_nonzero(part)) for part in of.values())
    if fewest < traps.type_2_least_fibers:
        return missing(
            f"only {fewest} fibers are of the rarer type; {traps.type_2_least_fibers} are needed"
        )
    size = section.column("min_feret_um")
    means = {kind: drawn.moments(size, part)[0] for kind, part in of.items()}
    ratio = means[own] / means[other]
    atrophic = {
        kind: 100.0 * float(drawn.share(section.atrophic, part & section.judged)[0])
        for kind, part in of.items()
    }
    n = sum(int(np.count_nonzero(part)) for part in of.values())
    words = {"atrophic": _atrophic_words(atrophic, own, other)}
    selective = is_selective(
        float(ratio[0]), atrophic[own], atrophic[other], traps, elderly=elderly
    )
    return Measurement(
        np.where(np.isfinite(ratio), ratio, ratio[0]),
        n,
        labels_of(section, section.atrophic & of[own], -size) if selective else (),
        words=words,
        absent=not selective,
    )


def _atrophic_words(percent: dict[str, float], own: str, other: str) -> str:
    """How much of either type is atrophic, as far as it is known."""
    known = [kind for kind in (own, other) if np.isfinite(percent[kind])]
    unknown = [kind for kind in (own, other) if kind not in known]
    parts = []
    if known:
        shares = " and ".join(f"{percent[kind]:.0f} % of type {kind}" for kind in known)
        parts.append(f"{shares} are atrophic")
    if unknown:
        types = " and ".join(f"type {kind}" for kind in unknown)
        parts.append(f"how many of {types} are atrophic cannot be told")
    return ", ".join(parts)


def is_selective(ratio: float, own: float, other: float, traps: Traps, *, elderly: bool) -> bool:
    """Whether atrophy is of one type: smaller, often atrophic, and far more often than the other.

    Parameters
    ----------
    ratio : float
        Mean diameter of the type over that of the other.
    own, other : float
        Atrophic fibers of either, %; NaN where not known, and the ratio alone decides.
    traps : Traps
    elderly : bool
        Whether type II may be smaller, as in old age.
    """
    if not ratio < (traps.type_2_ratio_below_elderly if elderly else traps.type_2_ratio_below):
        return False
    if not np.isfinite(own):
        # most fibers of the type are so small that its own center is no reference
        return True
    other = float(np.nan_to_num(other))
    spared = other < traps.type_2_other_below and own >= traps.type_2_times_type_1 * other
    return own >= traps.type_2_atrophic_from and spared
