"""Grouped atrophy: whether atrophic fibers lie together more than chance puts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.brooke_engel import Sex
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.small_fibers import SizeSets, find_size_sets
from biopsy_ai.patterns.assortativity import assortativity_interval
from biopsy_ai.patterns.atrophy_clusters import (
    CLUSTER_STATISTICS,
    JOIN_STATISTICS,
    describe_clusters,
    measure_clusters,
    measure_joins,
    number_clusters,
)
from biopsy_ai.patterns.atrophy_counts import (
    count_in_mostly_atrophic,
    describe_groups,
    describe_sets,
    find_mostly_atrophic,
)
from biopsy_ai.patterns.atrophy_strata import Strata, find_strata
from biopsy_ai.patterns.atrophy_words import NULLS, put_in_words
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.permutation import can_exchange, measure_permuted, permutation_entry
from biopsy_ai.progress import Progress

Flags = NDArray[np.bool_]

N_BESIDE = 999
"""Permutations at most of the tests that stand beside the primary one. [default]"""


@dataclass(frozen=True, eq=False)
class GroupedAtrophy:
    """The atrophic fibers of a section and how they lie.

    Attributes
    ----------
    summary
        JSON-ready, see `find_grouped_atrophy`.
    fibers
        One row per fiber of the table, in its order: ``label``, ``is_atrophic``,
        ``is_angular_atrophic``, ``is_hypertrophic`` (boolean, missing where size, or shape, cannot
        be judged) and ``atrophy_cluster`` (missing where in none).
    clusters
        One row per group, see `describe_clusters`.
    """

    summary: dict[str, Any]
    fibers: pd.DataFrame
    clusters: pd.DataFrame


def find_grouped_atrophy(
    contacts: Contacts,
    table: pd.DataFrame,
    *,
    sex: Sex | None = None,
    muscle: str | None = None,
    age: float | None = None,
    n_permutations: int = 4999,
    seed: int = 0,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> GroupedAtrophy:
    """Find the groups of atrophic fibers and test whether these lie together.

    Parameters
    ----------
    contacts : Contacts
        The contact graph.
    table : DataFrame
        The fiber table: what `find_size_sets` needs, and ``label``, ``fascicle``, ``layer``,
        ``type`` where they are known.
    sex : {"male", "female"}, optional
    muscle : str, optional
    age : float, optional
        Years.
    n_permutations : int, optional
    seed : int, optional
    limits : Limits, optional
    progress : callable, optional
        Called as ``progress("grouped atrophy", done, total)``.

    Returns
    -------
    GroupedAtrophy
        The summary holds ``assessable`` and ``why_not``, the ``reference`` that says which fibers
        are atrophic, the counts ``atrophic``, ``angular``, ``hypertrophic`` and
        ``atrophic_by_type``; the primary test as ``observed``, ``expected``, ``sd``, ``z``, ``p``,
        ``excess``, ``assortativity``, ``assortativity_low``, ``assortativity_high``, ``n``,
        ``n_edges``, ``n_permutations``, ``null``; the same test under other ``nulls``, without
        wide contacts, and among inner fibers; ``joins``; ``groups`` with the secondary tests; and
        a ``verdict`` in words. ``p`` is None where the strata leave nothing to exchange.

    Notes
    -----
    Nodes are the fibers whose size can be judged. The one primary statistic is the assortativity of
    the atrophic label, criteria §4.3 and §5. Under permutation it orders arrangements nearly as the
    number of joins between atrophic fibers does, but small fibers have fewer neighbors than others,
    and the joins alone would be compared with those of fibers that have more.

    The label is permuted within fascicle × layer × class of type, I or II, as far as these are
    known. What follows from the place of fibers at the edge of a fascicle (perifascicular atrophy)
    or from where fibers of one type lie (atrophy of type II in grouped types) is thus no grouping.
    Types are used only where most atrophic fibers have one: a stain that cannot type small fibers
    would put all of them into one stratum. Secondary, with Holm's correction: number of groups and
    the largest of them (criteria §4.7). Where a contact is longer than 0.35 of the border of the
    smaller fiber the two may be pieces of one, and pieces of one fiber are small and side by side:
    the test is repeated without those contacts.
    """
    sets = find_size_sets(table, sex, age=age, muscle=muscle, limits=limits)
    fibers = _fiber_columns(table, sets)
    nodes, graph = _nodes(contacts, table, sets)
    atrophic = nodes["atrophic"].to_numpy(bool)
    group_from = limits["atrophy_group_from"]
    cluster = number_clusters(graph.pairs, atrophic, group_from)
    numbered = pd.Series(cluster, index=nodes["label"].to_numpy())
    of_fiber = numbered.reindex(table["label"]).to_numpy(float)
    fibers["atrophy_cluster"] = pd.array(np.where(of_fiber > 0, of_fiber, np.nan), dtype="Int64")
    clusters = describe_clusters(nodes, cluster, limits)
    summary = describe_sets(table, sets, nodes, age)
    why_not = _why_not(sets, nodes, graph, group_from)
    if why_not:
        summary |= {"assessable": False, "why_not": why_not, "p": None, "z": None}
        return GroupedAtrophy({**summary, "verdict": "not assessable"}, fibers, clusters)

    strata = find_strata(nodes, limits)
    rng = np.random.default_rng(seed)
    codes = atrophic.astype(np.int64)
    null = strata.primary
    permuted = measure_permuted(
        lambda drawn: measure_joins(graph.pairs, drawn),
        codes,
        strata.of[null],
        n_permutations,
        rng,
        progress=progress,
        stage="grouped atrophy",
    )
    observed = measure_joins(graph.pairs, codes[:, None])[0]
    tests = _entries(JOIN_STATISTICS, observed, permuted, len(nodes), null)
    if not can_exchange(codes, strata.of[null]):
        tests["assortativity"]["p"] = None
    beside = min(n_permutations, N_BESIDE)
    permuted = measure_permuted(
        lambda drawn: measure_clusters(graph.pairs, drawn, group_from),
        codes,
        strata.of[null],
        beside,
        rng,
    )
    found = measure_clusters(graph.pairs, codes[:, None], group_from)[0]
    tests |= _entries(CLUSTER_STATISTICS, found, permuted, len(nodes), null)
    tests["largest"]["ratio"] = float(found[0] / max(np.median(permuted[:, 0]), 1.0))

    def again(kept: Flags, edges: Flags | None, null: str) -> dict[str, Any] | None:
        return _test_again(graph, codes, strata, kept, edges, null, beside, rng)

    everyone = np.ones(len(nodes), bool)
    nulls = {name: again(everyone, None, name) for name in strata.of if name != strata.primary}
    wide = graph.shared_share > limits["wide_contact_share"]
    interval = assortativity_interval(graph.pairs, atrophic, nodes["fascicle"].to_numpy())
    summary |= {
        "assessable": True,
        "why_not": None,
        **tests["assortativity"],
        "assortativity": float(observed[0]),
        "assortativity_low": interval.low,
        "assortativity_high": interval.high,
        "interval": interval.method,
        "n_edges": len(graph.pairs),
        "strata": strata.words,
        "nulls": nulls,
        "without_wide_contacts": again(everyone, ~wide, strata.primary) if wide.any() else None,
        "n_wide_contacts": int(wide.sum()),
        "among_inner": _among_inner(nodes, strata, again),
        "outer": _outer(nodes, strata, codes, beside, rng),
        "joins": tests["joins"],
        "groups": describe_groups(clusters, tests, nodes, limits),
        "mostly_atrophic_fascicles": find_mostly_atrophic(nodes),
        "in_mostly_atrophic_types": count_in_mostly_atrophic(
            atrophic, strata.of[strata.without_layers]
        ),
    }
    summary |= put_in_words(summary, limits)
    return GroupedAtrophy(summary, fibers, clusters)


def _fiber_columns(table: pd.DataFrame, sets: SizeSets) -> pd.DataFrame:
    fibers = pd.DataFrame({"label": table["label"].to_numpy()})
    known = sets.judged & (~sets.atrophic | sets.shape_judged)
    fibers["is_atrophic"] = pd.array(sets.atrophic, dtype="boolean")
    fibers.loc[~sets.judged, "is_atrophic"] = pd.NA
    fibers["is_angular_atrophic"] = pd.array(sets.angular, dtype="boolean")
    fibers.loc[~known, "is_angular_atrophic"] = pd.NA
    fibers["is_hypertrophic"] = pd.array(sets.hypertrophic, dtype="boolean")
    fibers.loc[~sets.judged, "is_hypertrophic"] = pd.NA
    return fibers


def _nodes(
    contacts: Contacts, table: pd.DataFrame, sets: SizeSets
) -> tuple[pd.DataFrame, Contacts]:
    """The fibers of the graph whose size is judged, and the contacts among them."""
    judged = table.assign(
        atrophic=sets.atrophic, shape_judged=sets.shape_judged, angular=sets.angular
    )[sets.judged]
    keep = np.isin(contacts.labels, judged["label"].to_numpy())
    graph = contacts.among(keep)
    nodes = judged.set_index("label").loc[graph.labels].reset_index()
    # 0 where it is not known, as for fibers that lie in none
    home = nodes["fascicle"] if "fascicle" in nodes else pd.Series(0, index=nodes.index)
    nodes["fascicle"] = home.astype("Int64").fillna(0).astype(np.int64)
    return nodes, graph


def _why_not(sets: SizeSets, nodes: pd.DataFrame, graph: Contacts, group_from: float) -> str:
    n = int(nodes["atrophic"].sum())
    if not len(nodes):
        return sets.reference.why_not or "no fiber of the graph has a size that can be judged"
    if n < group_from:
        return f"{n} atrophic fibers: a group needs {group_from:g}"
    if n == len(nodes):
        return "all fibers are atrophic: there is no arrangement to test"
    if not len(graph.pairs):
        return "no two fibers whose size is judged are in contact"
    if _ends_alike(graph.pairs, nodes["atrophic"].to_numpy(bool)):
        return "contacts join atrophic fibers alone, or other fibers alone"
    return ""


def _ends_alike(pairs: NDArray[np.int64], marks: NDArray[Any]) -> bool:
    """Whether all ends of contacts are alike, so that no assortativity exists."""
    ends = marks[pairs]
    return bool(ends.min() == ends.max())


def _entries(
    names: tuple[str, ...],
    observed: NDArray[np.float64],
    permuted: NDArray[np.float64],
    n: int,
    null: str,
) -> dict[str, dict[str, Any]]:
    columns = zip(names, observed, permuted.T, strict=True)
    return {name: _entry(float(value), drawn, n, null) for name, value, drawn in columns}


def _entry(observed: float, permuted: NDArray[np.float64], n: int, null: str) -> dict[str, Any]:
    entry = permutation_entry(observed, permuted, tail="greater", n=n, null=NULLS[null])
    return entry | {"excess": entry["observed"] - entry["expected"]}


def _test_again(
    graph: Contacts,
    codes: NDArray[np.int64],
    strata: Strata,
    kept: Flags,
    edges: Flags | None,
    null: str,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """The primary statistic under another null or on a part of the graph."""
    pairs = graph.pairs if edges is None else graph.pairs[edges]
    row = np.cumsum(kept) - 1
    pairs = row[pairs[kept[pairs].all(axis=1)]]
    part = codes[kept]
    if not len(pairs) or _ends_alike(pairs, part):
        return None
    permuted = measure_permuted(
        lambda drawn: measure_joins(pairs, drawn),
        part,
        strata.of[null][kept],
        n_permutations,
        rng,
    )[:, 0]
    observed = measure_joins(pairs, part[:, None])[0, 0]
    return {**_entry(observed, permuted, int(kept.sum()), null), "n_edges": len(pairs)}


def _among_inner(nodes: pd.DataFrame, strata: Strata, again: Any) -> dict[str, Any] | None:
    if not strata.has_layers:
        return None
    inner = (nodes["layer"] == 3).fillna(False).to_numpy(bool)
    result: dict[str, Any] | None = again(inner, None, strata.primary) if inner.any() else None
    return result


def _outer(
    nodes: pd.DataFrame,
    strata: Strata,
    codes: NDArray[np.int64],
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Whether atrophic fibers touch perimysium more often than chance puts them there."""
    if not strata.has_layers:
        return None
    outer = (nodes["layer"] == 1).fillna(False).to_numpy(bool)
    null = strata.without_layers
    permuted = measure_permuted(
        lambda drawn: np.count_nonzero(drawn[outer] == 1, axis=0)[:, None].astype(float),
        codes,
        strata.of[null],
        n_permutations,
        rng,
    )[:, 0]
    return _entry(float(codes[outer].sum()), permuted, int(outer.sum()), null)
