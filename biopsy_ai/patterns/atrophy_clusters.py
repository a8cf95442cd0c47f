"""Clusters of atrophic fibers on the contact graph: how large they are, and what they hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import TYPE_I, TYPE_II, type_classes

Flags = NDArray[np.bool_]

JOIN_STATISTICS = ("assortativity", "joins")
"""What `measure_joins` gives of each arrangement."""
CLUSTER_STATISTICS = ("largest", "n_groups", "n_grouped")
"""What `measure_clusters` gives of each arrangement."""

COLUMNS = (
    "atrophy_cluster",
    "n_fibers",
    "size",
    "fascicle",
    "fascicle_share",
    "n_outer",
    "n_type_i",
    "n_type_ii",
    "n_untyped",
    "composition",
    "composition_p",
    "n_angular",
    "angular_share",
    "centroid_y_um",
    "centroid_x_um",
)


def measure_joins(pairs: np.ndarray, codes: np.ndarray) -> NDArray[np.float64]:
    """Measure how often atrophic fibers lie side by side in many arrangements.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every edge once; at least one.
    codes : (n, c) array of int
        1 for atrophic and 0 for other fibers, a column for each arrangement.

    Returns
    -------
    (c, 2) ndarray of float
        `JOIN_STATISTICS`: assortativity, 0 where all or none of the ends of edges are atrophic,
        and number of edges between atrophic fibers.

    Notes
    -----
    With e the share of edges between atrophic fibers and a that of the ends of edges that are
    atrophic, the assortativity of two classes is (e - a²) / (a - a²).
    """
    atrophic = codes == 1
    both = atrophic[pairs[:, 0]] & atrophic[pairs[:, 1]]
    joins = np.count_nonzero(both, axis=0).astype(float)
    degree = np.bincount(pairs.ravel(), minlength=len(atrophic)).astype(np.float32)
    ends = (degree @ atrophic.astype(np.float32)) / (2.0 * len(pairs))
    spread = ends - ends**2
    excess = joins / len(pairs) - ends**2
    value = np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0)
    return np.stack([value, joins], axis=1)


def measure_clusters(
    pairs: np.ndarray, codes: np.ndarray, group_from: float
) -> NDArray[np.float64]:
    """Measure the clusters of atrophic fibers in many arrangements.

    Parameters
    ----------
    pairs, codes
        As in `measure_joins`.
    group_from : float
        Clusters of at least so many fibers are groups.

    Returns
    -------
    (c, 3) ndarray of float
        `CLUSTER_STATISTICS`: fibers of the largest cluster, number of groups, fibers in groups.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    atrophic = codes == 1
    both = atrophic[pairs[:, 0]] & atrophic[pairs[:, 1]]
    n_arrangements = atrophic.shape[1]
    # one graph of the atrophic fibers of all arrangements, which share no edge
    row = np.cumsum(atrophic, dtype=np.int32).reshape(atrophic.shape) - 1
    total = int(row[-1, -1]) + 1
    edge, at = np.divmod(np.flatnonzero(both), n_arrangements)
    first, second = row[pairs[edge, 0], at], row[pairs[edge, 1], at]
    graph = coo_array((np.ones(len(edge), np.int8), (first, second)), shape=(total, total))
    n_clusters, cluster = connected_components(graph, directed=False)
    size = np.bincount(cluster, minlength=n_clusters)
    of = np.empty(n_clusters, np.int64)
    of[cluster] = np.flatnonzero(atrophic) % n_arrangements
    largest = np.zeros(n_arrangements)
    np.maximum.at(largest, of, size)
    group = size >= group_from
    numbers = np.bincount(of[group], minlength=n_arrangements)
    grouped = np.bincount(of[group], size[group], minlength=n_arrangements)
    return np.column_stack([largest, numbers, grouped])


def number_clusters(pairs: np.ndarray, atrophic: Flags, group_from: float) -> NDArray[np.int64]:
    """Number the groups of atrophic fibers, the largest first.

    Parameters
    ----------
    pairs : (m, 2) array of int
    atrophic : (n,) array of bool
    group_from : float
        Clusters of at least so many fibers are groups.

    Returns
    -------
    (n,) ndarray of int
        Number of the group of each fiber from 1, 0 for none. Of equal groups that with the first
        fiber comes first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(atrophic)
    both = pairs[atrophic[pairs].all(axis=1)] if len(pairs) else pairs
    graph = coo_array((np.ones(len(both), np.int8), (both[:, 0], both[:, 1])), shape=(n, n))
    _, cluster = connected_components(graph, directed=False)
    names, first, inverse, size = np.unique(
        np.where(atrophic, cluster, -1), return_index=True, return_inverse=True, return_counts=True
    )
    groups = np.flatnonzero((size >= group_from) & (names >= 0))
    groups = groups[np.lexsort((first[groups], -size[groups]))]
    number = np.zeros(len(names), np.int64)
    number[groups] = np.arange(1, len(groups) + 1)
    return number[inverse]


def describe_clusters(
    nodes: pd.DataFrame, cluster: NDArray[np.int64], limits: Limits = DEFAULTS
) -> pd.DataFrame:
    """Describe the groups of atrophic fibers.

    Parameters
    ----------
    nodes : DataFrame
        The fibers whose size was judged: ``shape_judged`` and ``angular`` (boolean), and where they
        are known ``fascicle``, ``layer``, ``type``, ``centroid_y_um`` and ``centroid_x_um``.
    cluster : (n,) array of int
        From `number_clusters`.
    limits : Limits, optional

    Returns
    -------
    DataFrame
        One row per group with `COLUMNS`. ``size`` is ``large`` from 21 fibers on, or where a group
        holds half of its fascicle, else ``small``. ``n_outer`` touch perimysium.
        ``composition`` is ``pure`` where nine tenths of the typed fibers are of one class, I or II,
        and so many of it would come to 5 % or fewer of the groups drawn from all typed fibers at
        random (``composition_p``, hypergeometric); ``mixed`` where a fifth or more, and two
        at least, are of the rarer class; else ``undetermined`` (criteria §5 [E]).
    """
    classes = type_classes(nodes["type"]) if "type" in nodes else np.full(len(nodes), "", object)
    fascicle = _column(nodes, "fascicle")
    layer = _column(nodes, "layer")
    whole = pd.Series(fascicle).value_counts()
    rows = []
    for number in range(1, int(cluster.max(initial=0)) + 1):
        members = cluster == number
        n = int(members.sum())
        home = pd.Series(fascicle[members]).mode()
        of = float(home.iloc[0]) if len(home) else np.nan
        share = n / float(whole[of]) if of > 0 else np.nan
        n_i, n_ii = (int(np.sum(classes[members] == name)) for name in (TYPE_I, TYPE_II))
        composition, p = _composition(n_i, n_ii, classes, limits)
        judged = members & nodes["shape_judged"].to_numpy(bool)
        angular = int(np.sum(members & nodes["angular"].to_numpy(bool)))
        large = (
            n >= limits["large_atrophy_group_from"] or share >= limits["large_atrophy_group_share"]
        )
        rows.append(
            {
                "atrophy_cluster": number,
                "n_fibers": n,
                "size": "large" if large else "small",
                "fascicle": of,
                "fascicle_share": share,
                "n_outer": int(np.sum(layer[members] == 1)) if not np.isnan(layer).all() else None,
                "n_type_i": n_i,
                "n_type_ii": n_ii,
                "n_untyped": n - n_i - n_ii,
                "composition": composition,
                "composition_p": p,
                "n_angular": angular,
                "angular_share": angular / judged.sum() if judged.any() else np.nan,
                "centroid_y_um": float(np.mean(_column(nodes, "centroid_y_um")[members])),
                "centroid_x_um": float(np.mean(_column(nodes, "centroid_x_um")[members])),
            }
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole_numbers = [name for name in COLUMNS if name.startswith("n_")]
    integers = dict.fromkeys(["atrophy_cluster", "fascicle", *whole_numbers], "Int64")
    return table.astype({**integers, "composition_p": float, "fascicle_share": float})


def _composition(
    n_i: int, n_ii: int, classes: NDArray[np.object_], limits: Limits
) -> tuple[str, float]:
    from scipy.stats import hypergeom

    typed = n_i + n_ii
    if not typed:
        return "undetermined", float("nan")
    more = max(n_i, n_ii)
    of_class = int(np.sum(classes == (TYPE_I if n_i >= n_ii else TYPE_II)))
    p = float(hypergeom.sf(more - 1, int(np.sum(classes != "")), of_class, typed))
    if more >= limits["pure_group_share_from"] * typed:
        return ("pure" if p < limits["pattern_p_below"] else "undetermined"), p
    # a single fiber may be typed wrongly
    mixed = typed - more >= max(limits["mixed_group_share_from"] * typed, 2)
    return ("mixed" if mixed else "undetermined"), p


def _column(nodes: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in nodes:
        return np.full(len(nodes), np.nan)
    values = nodes[name].astype("Float64").to_numpy(float, na_value=np.nan)
    return np.asarray(values, np.float64)
