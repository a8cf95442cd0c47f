"""Type grouping: whether fibers of one type lie together more than chance lets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.adequacy import requirement
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.assortativity import (
    assortativity,
    assortativity_interval,
    expected_assortativity,
    soft_assortativity,
    without_typing_error,
)
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.enclosed import find_enclosed
from biopsy_ai.patterns.fascicle_map import FASCICLE_COLUMNS, map_fascicles
from biopsy_ai.patterns.grouping_words import describe_verdict, notes_on
from biopsy_ai.patterns.join_counts import (
    GraphCounts,
    count_joins,
    different_type_moments,
    exact_entry,
    free_different_type_moments,
    same_type_moments,
)
from biopsy_ai.patterns.mosaic_statistics import MosaicStatistics, StatisticsOfMosaic
from biopsy_ai.patterns.permutation import measure_permuted, permutation_entry, permutation_p
from biopsy_ai.patterns.secondary_tests import summarize_secondary
from biopsy_ai.patterns.sensitivity import analyze_sensitivity
from biopsy_ai.patterns.stratified_moments import moments_within_strata
from biopsy_ai.patterns.subtype_joins import summarize_subtype_joins
from biopsy_ai.patterns.type_groups import (
    GROUP_COLUMNS,
    find_core_groups,
    table_of_groups,
)
from biopsy_ai.patterns.type_mosaic import (
    SoftMosaic,
    TypeMosaic,
    class_name,
    read_mosaic,
    read_soft_mosaic,
)
from biopsy_ai.patterns.type_trend import summarize_trend
from biopsy_ai.progress import Progress

STAGE = "type grouping"


@dataclass(frozen=True, eq=False)
class TypeGrouping:
    """What the pattern of fiber types shows.

    Attributes
    ----------
    summary
        JSON-ready; see `find_type_grouping`.
    fibers
        One row per fiber of the graph: ``label``, ``group`` (number, missing where it is in none)
        and ``is_enclosed`` (missing where its neighbors are not all seen and typed).
    fascicles
        One row per fascicle, columns `biopsy_ai.patterns.fascicle_map.FASCICLE_COLUMNS`.
    groups
        One row per group, columns `biopsy_ai.patterns.type_groups.GROUP_COLUMNS`.
    """

    summary: dict[str, Any]
    fibers: pd.DataFrame
    fascicles: pd.DataFrame
    groups: pd.DataFrame


def find_type_grouping(
    contacts: Contacts,
    table: pd.DataFrame,
    *,
    age: float | None = None,
    muscle: str | None = None,
    n_permutations: int = 4999,
    seed: int = 0,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> TypeGrouping:
    """Test whether fiber types are grouped, and find the groups.

    Parameters
    ----------
    contacts : Contacts
        The contact graph of the section.
    table : DataFrame
        One row per fiber, ``label`` and ``type``; as far as they are known ``type_i_posterior``,
        ``fascicle``, ``layer``, ``excluded``, ``touches_border`` and the centroid.
    age : float, optional
        Years; decides what is noted beside, as does the muscle.
    muscle : str, optional
    n_permutations : int, optional
    seed : int, optional
    limits : Limits, optional
    progress : callable, optional
        ``progress(stage, done, total)``.

    Returns
    -------
    TypeGrouping
        ``summary`` holds ``assessable`` and, where it is False, ``why_not``. Else:

        - ``p``, ``z``, ``assortativity``, ``assortativity_low``, ``assortativity_high`` (95 %) and
          ``n_edges`` of the one primary test, that of few contacts between type I and II. z is
          negative where there are fewer than chance gives.
        - ``verdict`` (grouped, graded, cannot tell, random or dispersed) and ``text``, ``enough``
          and ``notes``.
        - ``different_type_joins``: the test in full, with the exact moments beside.
        - ``same_type_joins``, ``assortativity_detail``, ``soft``, ``enclosed``, ``largest_group``,
          ``groups``, ``subtypes``, ``fascicles``, ``over_segmentation``, ``sensitivity``,
          ``trend``.

    Raises
    ------
    ValueError
        If a label comes twice in the table or a fiber of the graph is not in it.

    Notes
    -----
    Fibers of type I or a kind of II count, hybrids of the two and undetermined ones do not. Types
    are permuted within fascicle and border layer or deeper (criteria §4.4). Joins are counted
    between complete fibers; enclosed fibers may have neighbors that the image cuts (§4.7).
    Enclosed fibers and largest groups are secondary, with Holm's adjustment over all of them.
    """
    mosaic = read_mosaic(contacts, table)
    fibers = pd.DataFrame({"label": contacts.labels})
    fibers["group"] = pd.array([pd.NA] * len(fibers), dtype="Int64")
    fibers["is_enclosed"] = pd.array([pd.NA] * len(fibers), dtype="boolean")
    why_not = _why_not(mosaic, limits)
    joins_rng, groups_rng, subtypes_rng, errors_rng, trend_rng = np.random.default_rng(seed).spawn(
        5
    )
    if why_not:
        summary = _not_assessable(mosaic, why_not)
        summary["subtypes"] = summarize_subtype_joins(mosaic, subtypes_rng, limits)
        return TypeGrouping(
            summary,
            fibers,
            pd.DataFrame(columns=list(FASCICLE_COLUMNS)),
            pd.DataFrame(columns=list(GROUP_COLUMNS)),
        )
    codes = mosaic.is_type_i.astype(np.int8)
    statistics = StatisticsOfMosaic(mosaic, limits["wide_contact_share"])
    permuted = MosaicStatistics.from_columns(
        measure_permuted(
            statistics,
            codes,
            mosaic.strata,
            n_permutations,
            joins_rng,
            progress=progress,
            stage=STAGE,
        )
    )
    observed = MosaicStatistics.from_columns(statistics(codes[:, None]))
    enclosed = find_enclosed(mosaic.contacts, codes, mosaic.inner)
    group = find_core_groups(mosaic.contacts, enclosed)
    groups = table_of_groups(
        group,
        enclosed,
        np.array([class_name(own) for own in mosaic.is_type_i], dtype=object),
        mosaic.fascicles,
        mosaic.labels,
    )
    rows = np.searchsorted(contacts.labels, mosaic.labels)
    fibers.loc[rows, "group"] = pd.array(group, dtype="Int64")
    fibers["group"] = fibers["group"].mask(fibers["group"] == 0)
    known = mosaic.inner
    fibers.loc[rows[known], "is_enclosed"] = pd.array(enclosed[known], dtype="boolean")
    fascicles = map_fascicles(
        mosaic, observed.joins_by_fascicle[0], permuted.joins_by_fascicle, limits
    )
    summary = _main_test(mosaic, observed, permuted, limits)
    summary["soft"] = _soft(read_soft_mosaic(contacts, table))
    summary |= summarize_secondary(mosaic, observed, permuted, groups, groups_rng, limits)
    summary["subtypes"] = summarize_subtype_joins(mosaic, subtypes_rng, limits)
    summary["fascicles"] = _of_fascicles(fascicles, limits)
    summary["over_segmentation"] = _without_wide(
        mosaic, statistics.n_wide, observed, permuted, limits
    )
    summary["sensitivity"] = analyze_sensitivity(
        mosaic.pairs, mosaic.is_type_i, mosaic.strata, errors_rng, limits=limits, progress=progress
    )
    summary["trend"] = (
        None if mosaic.fascicles_known else summarize_trend(mosaic, trend_rng, limits)
    )
    needed = requirement("type_grouping", limits=limits)
    assert needed is not None
    summary["enough"] = bool(summary["n_typed"] >= needed.value)
    summary["needed"] = needed.as_dict()
    summary["verdict"], summary["text"] = describe_verdict(summary, limits)
    summary["notes"] = notes_on(summary, age=age, muscle=muscle, limits=limits)
    return TypeGrouping(summary, fibers, fascicles, groups)


def _why_not(mosaic: TypeMosaic, limits: Limits) -> str | None:
    """Why grouping cannot be tested."""
    n = int(np.count_nonzero(mosaic.complete))
    n_type_i = int(np.count_nonzero(mosaic.is_type_i & mosaic.complete))
    least, rarer = int(limits["grouping_least_fibers"]), int(limits["grouping_least_rarer"])
    if n < least:
        return f"{n} complete fibers are of type I or II; {least} are needed to test grouping"
    if min(n_type_i, n - n_type_i) < rarer:
        return (
            f"{n_type_i} fibers are of type I and {n - n_type_i} of type II; {rarer} of either "
            "are needed to test grouping"
        )
    if not len(mosaic.pairs):
        return "no two typed fibers are in contact"
    if len(mosaic.pairs) < least:
        return f"{len(mosaic.pairs)} contacts of typed fibers; {least} are needed to test grouping"
    of_type = mosaic.is_type_i[mosaic.pairs]
    if of_type.all() or not of_type.any():
        return "all fibers that have contacts are of one type"
    if (
        moments_within_strata(mosaic.pairs, mosaic.is_type_i.astype(float), mosaic.strata).variance
        < 1e-9
    ):
        return "types do not vary within fascicle and layer, so that nothing can be exchanged"
    return None


def _not_assessable(mosaic: TypeMosaic, why_not: str) -> dict[str, Any]:
    empty = dict.fromkeys(("p", "z", "assortativity", "assortativity_low", "assortativity_high"))
    return {"assessable": False, "why_not": why_not, **empty, **_numbers(mosaic), "notes": []}


def _numbers(mosaic: TypeMosaic) -> dict[str, Any]:
    complete = mosaic.complete
    n_type_i = int(np.count_nonzero(mosaic.is_type_i & complete))
    n_typed = int(np.count_nonzero(complete))
    return {
        "n_edges": len(mosaic.pairs),
        "n_typed": n_typed,
        "n_type_i": n_type_i,
        "n_type_ii": n_typed - n_type_i,
        "n_cut": int(np.count_nonzero(~complete)),
        "left_out": mosaic.left_out,
    }


def _main_test(
    mosaic: TypeMosaic, observed: MosaicStatistics, permuted: MosaicStatistics, limits: Limits
) -> dict[str, Any]:
    """The primary test, its effect, and the exact moments beside it."""
    joins, marks = float(observed.joins[0]), mosaic.is_type_i
    n, n_type_i = len(marks), int(np.count_nonzero(marks))
    entry = permutation_entry(
        joins,
        permuted.joins,
        tail="less",
        n=len(mosaic.pairs),
        null=f"types dealt out at random {mosaic.strata_words}",
    )
    value = float(observed.assortativity[0])
    enough = requirement("fascicle_scatter", limits=limits)
    assert enough is not None
    interval = assortativity_interval(
        mosaic.pairs, marks, mosaic.fascicles, least_fascicles=int(enough.value)
    )
    graph = GraphCounts.of(mosaic.pairs, n)
    within = moments_within_strata(mosaic.pairs, marks.astype(float), mosaic.strata)
    same = count_joins(mosaic.pairs, marks.astype(np.int64), 2)
    # where few fibers have contacts a permutation may leave all of these to one type
    chance = float(np.nanmean(permuted.assortativity))
    error = _typing_error(mosaic)
    return {
        "assessable": True,
        "why_not": None,
        "p": entry["p"],
        "z": entry["z"],
        "assortativity": value,
        "assortativity_low": interval.low,
        "assortativity_high": interval.high,
        **_numbers(mosaic),
        "different_type_joins": entry
        | {
            "p_dispersed": permutation_p(joins, permuted.joins, tail="greater"),
            "effect": value,
            "interval": [interval.low, interval.high],
            "n_strata": len(np.unique(mosaic.strata)),
            "within_strata_exact": exact_entry(joins, within),
            "unstratified": exact_entry(
                joins, different_type_moments(graph, n_type_i, n - n_type_i)
            ),
            "free": exact_entry(
                joins, free_different_type_moments(graph, n_type_i / n, 1 - n_type_i / n)
            ),
        },
        "same_type_joins": {
            class_name(bool(code)): {"observed": int(same[code, code]), "n": len(mosaic.pairs)}
            | exact_entry(float(same[code, code]), same_type_moments(graph, number))
            | {"null": "types dealt out at random over the whole section"}
            for code, number in ((1, n_type_i), (0, n - n_type_i))
        },
        "assortativity_detail": {
            "se": interval.se,
            "interval_from": interval.method,
            "expected": expected_assortativity(n),
            "expected_within_strata": chance,
            "above_chance": (value - chance) / (1 - chance),
            "typing_error": error,
            "without_typing_error": None if error is None else without_typing_error(value, error),
        },
    }


def _typing_error(mosaic: TypeMosaic) -> float | None:
    """Mean probability that a fiber is not of the class it is counted in; None if not known."""
    posterior = mosaic.type_i_posterior[mosaic.complete]
    if np.isin(posterior, (0.0, 1.0)).all():
        # types of a table, or parted by a threshold, come without any doubt
        return None
    own = np.where(mosaic.is_type_i[mosaic.complete], posterior, 1 - posterior)
    return float(1 - own.mean()) if len(own) and np.isfinite(own).all() else None


def _soft(soft: SoftMosaic) -> dict[str, Any] | None:
    """Grouping from the probabilities of types, hybrids and undetermined fibers included."""
    value = soft_assortativity(soft.pairs, soft.type_i_posterior)
    if not np.isfinite(value):
        return None
    ends = soft.type_i_posterior[soft.pairs]
    joins = float((ends.sum(axis=1) - 2 * ends.prod(axis=1)).sum())
    moments = moments_within_strata(soft.pairs, soft.type_i_posterior, soft.strata)
    return {
        "n_fibers": len(soft.type_i_posterior),
        "n_edges": len(soft.pairs),
        "assortativity": value,
        "different_type_joins": {"observed": joins}
        | exact_entry(joins, moments)
        | {"null": "probabilities dealt out at random within the same strata; exact moments"},
    }


def _of_fascicles(fascicles: pd.DataFrame, limits: Limits) -> dict[str, Any]:
    tested = fascicles[fascicles["p"].notna()]
    return {
        "n": int((fascicles["fascicle"] > 0).sum()),
        "n_tested": len(tested),
        "n_grouped": int(tested["grouped"].sum()),
        "grouped": [int(number) for number in tested.loc[tested["grouped"], "fascicle"]],
        "false_discovery_rate": limits["fascicle_map_fdr"],
        "note": "Exploratory: fascicle by fascicle, adjusted by Benjamini & Hochberg.",
    }


def _without_wide(
    mosaic: TypeMosaic,
    n_wide: int,
    observed: MosaicStatistics,
    permuted: MosaicStatistics,
    limits: Limits,
) -> dict[str, Any]:
    """The primary test without contacts so long that both fibers may be pieces of one."""
    narrow = mosaic.pairs[mosaic.shared_share <= limits["wide_contact_share"]]
    value = assortativity(narrow, mosaic.is_type_i.astype(np.int64))
    entry = permutation_entry(
        float(observed.joins_without_wide[0]),
        permuted.joins_without_wide,
        tail="less",
        n=len(narrow),
        null=f"types dealt out at random {mosaic.strata_words}",
    )
    return {
        "limit": limits.reference("wide_contact_share").as_dict(),
        "n_dropped": n_wide,
        "share_dropped": n_wide / len(mosaic.pairs),
        "assortativity": value if np.isfinite(value) else None,
        **entry,
    }
