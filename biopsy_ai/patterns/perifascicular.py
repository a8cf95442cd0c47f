"""Perifascicular atrophy: fibers at the edge of a fascicle smaller than those inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.brooke_engel import Sex
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.small_fibers import find_size_sets
from biopsy_ai.measure.type_class import type_classes
from biopsy_ai.patterns.atrophy_clusters import number_clusters
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.permutation import can_exchange, measure_permuted, permutation_entry

OUTER, INNER = 1, 3
"""Values of ``layer``: touches perimysium, and neither that nor next to it."""

LIMITS = (
    "perifascicular_ratio_below",
    "perifascicular_run_from",
    "perifascicular_fascicles_from",
    "perifascicular_min_fibers",
)


def find_perifascicular_atrophy(
    table: pd.DataFrame,
    contacts: Contacts,
    *,
    sex: Sex | None = None,
    muscle: str | None = None,
    age: float | None = None,
    n_permutations: int = 4999,
    seed: int = 0,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Compare the fibers at the edge of each fascicle with those inside.

    Parameters
    ----------
    table : DataFrame
        The fiber table: ``label``, ``fascicle``, ``layer``, what `find_size_sets` needs, and
        ``type`` where known.
    contacts : Contacts
        The contact graph.
    sex : {"male", "female"}, optional
    muscle : str, optional
    age : float, optional
        Years.
    n_permutations : int, optional
    seed : int, optional
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``assessable`` and ``why_not``, a list of ``fascicles`` with the number of
        fibers in both layers, their median diameters, ``ratio``, ``longest_run`` and ``flagged``;
        the test over all of them (``observed``, ``expected``, ``sd``, ``z``, ``p``, ``n``,
        ``n_permutations``, ``null``); the median ``ratio``, ``n_flagged``, ``positive`` and a
        ``verdict`` in words.

    Notes
    -----
    ``ratio``: median min Feret of the fibers that touch perimysium over that of the inner ones, the
    layer between left out. ``longest_run``: atrophic fibers that touch perimysium and each other.
    A fascicle is flagged with a ratio below 0.75 and a run of 6, and two flagged ones make the
    section positive (criteria §5 [E]). A run needs atrophic fibers; where nothing tells which are
    atrophic, no fascicle can be flagged and the section is not called.

    The test permutes sizes between both layers, within fascicle and class of type: the edge of a
    fascicle normally holds more fibers of type II. Its statistic is the mean rank of the outer
    fibers among those of their stratum, less 0.5 (van Elteren 1960, Bull Inst Int Stat 37:351).
    Perifascicular atrophy may be angular, and is none of denervation.
    """
    rules = {name: limits.reference(name).as_dict() for name in LIMITS}
    if "layer" not in table or table["layer"].isna().all():
        why = "layers within fascicles are not known: the borders of fascicles were not found"
        return _not_assessable(why, rules)
    sets = find_size_sets(table, sex, age=age, muscle=muscle, limits=limits)
    told = not sets.reference.why_not
    # sizes are compared with each other, which takes no reference
    nodes = table.assign(atrophic=sets.atrophic, run=_runs(table, contacts, sets.atrophic))
    nodes = nodes[sets.usable & nodes["layer"].notna() & (nodes["fascicle"] > 0)]
    fascicles = _compare(nodes, limits, told)
    if not len(fascicles):
        least = limits["perifascicular_min_fibers"]
        return _not_assessable(
            f"no fascicle has {least:g} fibers that touch perimysium and {least:g} inner ones",
            rules,
        )
    nodes = nodes[nodes["fascicle"].isin(fascicles["fascicle"]) & (nodes["layer"] != 2)]
    test = _test(nodes, n_permutations, np.random.default_rng(seed))
    n_flagged = int(fascicles["flagged"].sum()) if told else None
    positive = None if n_flagged is None else n_flagged >= rules[LIMITS[2]]["value"]
    ratio = float(fascicles["ratio"].median())
    return {
        "assessable": True,
        "why_not": None,
        **test,
        "ratio": ratio,
        "n_fascicles": len(fascicles),
        "n_flagged": n_flagged,
        "positive": positive,
        "cannot_tell": sets.reference.why_not or None,
        "fascicles": fascicles.astype(object).to_dict("records"),
        "limits": rules,
        "verdict": _verdict(ratio, test["p"], n_flagged, positive, len(fascicles), limits),
    }


def _not_assessable(why_not: str, rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "assessable": False,
        "why_not": why_not,
        "p": None,
        "z": None,
        "ratio": None,
        "n_flagged": None,
        "positive": None,
        "fascicles": [],
        "limits": rules,
        "verdict": "not assessable",
    }


def _runs(
    table: pd.DataFrame, contacts: Contacts, atrophic: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Number of the run of atrophic outer fibers that each fiber is in, 0 for none."""
    outer = (table["layer"] == OUTER).fillna(False).to_numpy(bool)
    small = np.isin(contacts.labels, table["label"].to_numpy()[atrophic & outer])
    run = number_clusters(contacts.pairs, small, 1)
    return np.asarray(
        pd.Series(run, index=contacts.labels).reindex(table["label"], fill_value=0), np.int64
    )


def _compare(nodes: pd.DataFrame, limits: Limits, told: bool) -> pd.DataFrame:
    """One row per fascicle with enough fibers in both layers."""
    rows = []
    for fascicle, members in nodes.groupby("fascicle"):
        outer = members[members["layer"] == OUTER]
        inner = members[members["layer"] == INNER]
        if min(len(outer), len(inner)) < limits["perifascicular_min_fibers"]:
            continue
        ends = float(outer["min_feret_um"].median()), float(inner["min_feret_um"].median())
        runs = outer.loc[outer["run"] > 0, "run"].value_counts()
        longest = int(runs.max()) if len(runs) else 0
        rows.append(
            {
                "fascicle": int(str(fascicle)),
                "n_outer": len(outer),
                "n_inner": len(inner),
                "median_outer_um": ends[0],
                "median_inner_um": ends[1],
                "ratio": ends[0] / ends[1],
                "longest_run": longest if told else None,
                "flagged": bool(
                    ends[0] / ends[1] < limits["perifascicular_ratio_below"]
                    and longest >= limits["perifascicular_run_from"]
                )
                if told
                else None,
            }
        )
    return pd.DataFrame(rows)


def _test(nodes: pd.DataFrame, n_permutations: int, rng: np.random.Generator) -> dict[str, Any]:
    types = type_classes(nodes["type"]) if "type" in nodes else np.full(len(nodes), "", object)
    stratum = nodes.groupby(["fascicle", types]).ngroup().to_numpy(np.int64)
    size = nodes["min_feret_um"].groupby(stratum)
    rank = (size.rank().to_numpy(float) - 0.5) / size.transform("size").to_numpy(float) - 0.5
    outer = (nodes["layer"] == OUTER).to_numpy(np.int64)
    permuted = measure_permuted(
        lambda drawn: (rank @ (drawn == 1))[:, None] / max(int(outer.sum()), 1),
        outer,
        stratum,
        n_permutations,
        rng,
    )[:, 0]
    observed = float(rank @ outer) / max(int(outer.sum()), 1)
    null = "sizes at random between the outer and the inner layer of a fascicle"
    if (types != "").any():
        null += ", among fibers of the same type class"
    entry = permutation_entry(observed, permuted, tail="less", n=len(nodes), null=null)
    return entry if can_exchange(outer, stratum) else entry | {"p": None}


def _verdict(
    ratio: float,
    p: float | None,
    n_flagged: int | None,
    positive: bool | None,
    n_fascicles: int,
    limits: Limits,
) -> str:
    if p is None:
        return (
            "cannot tell: no fascicle has outer and inner fibers of the same type to compare "
            f"(median ratio {ratio:.2f} over all types)"
        )
    told = f"median ratio {ratio:.2f}, p = {p:.3g}"
    smaller = p < limits["pattern_p_below"]
    if positive is None:
        return (
            f"cannot tell: outer fibers are {'' if smaller else 'not '}smaller than inner ones "
            f"({told}), but nothing tells which are atrophic"
        )
    flagged = f"{n_flagged} of {n_fascicles} fascicles with atrophy at their edge"
    if positive and smaller:
        return f"compatible with perifascicular atrophy: {flagged} ({told})"
    if smaller:
        return f"outer fibers are smaller than inner ones ({told}), without enough for a call: " + (
            flagged
        )
    if positive:
        return f"cannot tell: {flagged}, but within a type outer fibers are no smaller ({told})"
    return f"no sign of perifascicular atrophy: {flagged} ({told})"
