from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_fascicles import SMALL_UM, draw_fascicles

from biopsy_ai.patterns.atrophy_clusters import measure_joins
from biopsy_ai.patterns.atrophy_strata import find_strata
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.grouped_atrophy import GroupedAtrophy, find_grouped_atrophy
from biopsy_ai.patterns.permutation import permutation_p, stratified_permutations


def with_small(table: pd.DataFrame, small: np.ndarray) -> pd.DataFrame:
    table = table.copy()
    table.loc[small, "min_feret_um"] = SMALL_UM
    return table


def patches(table: pd.DataFrame, centers: list[tuple[float, float]], radius: float) -> np.ndarray:
    """Fibers within some diameters of places inside fascicles."""
    place = table[["centroid_y_um", "centroid_x_um"]].to_numpy() / 60
    return np.any([np.hypot(*(place - center).T) < radius for center in np.array(centers)], axis=0)


def find(table: pd.DataFrame, contacts: Contacts, **given: Any) -> GroupedAtrophy:
    given = {"sex": "male", "n_permutations": 499, **given}
    return find_grouped_atrophy(contacts, table, **given)


@pytest.fixture(scope="module")
def healthy() -> tuple[pd.DataFrame, Contacts]:
    return draw_fascicles()


PLACES = [(5.0, 5.0), (15.0, 15.0), (25.0, 5.0)]


def test_planted_groups_are_found_with_their_members(healthy) -> None:
    table, contacts = healthy
    small = patches(table, PLACES, 1.8)
    found = find(with_small(table, small), contacts)
    summary = found.summary
    assert summary["pattern"] == "grouped"
    assert "compatible with grouped atrophy" in summary["verdict"]
    assert summary["p"] == 1 / 500
    assert summary["z"] > 5
    assert summary["assortativity_low"] < summary["assortativity"] < summary["assortativity_high"]
    cluster = found.fibers["atrophy_cluster"]
    # healthy fibers below the limit may lie beside a group
    assert cluster[small].notna().all()
    assert summary["groups"]["n"] == len(found.clusters) == 3
    assert found.clusters["n_fibers"].sum() == cluster.notna().sum() <= small.sum() + 3
    assert summary["groups"]["max_fibers"] == found.clusters["n_fibers"].max()
    assert summary["groups"]["per_1000_fibers"] == pytest.approx(3000 / summary["n"])
    assert summary["groups"]["largest"]["p_holm"] < 0.05
    assert summary["groups"]["number"]["p_holm"] >= summary["groups"]["number"]["p"]
    json.dumps(summary, allow_nan=False)


def test_exact_members_and_atrophic_flags(healthy) -> None:
    table, contacts = healthy
    table = table.assign(min_feret_um=55 + 6 * np.linspace(-1, 1, len(table)))
    small = patches(table, PLACES, 1.8)
    found = find(with_small(table, small), contacts)
    assert found.fibers["is_atrophic"].tolist() == small.tolist()
    assert found.fibers["atrophy_cluster"].notna().tolist() == small.tolist()
    assert found.fibers["label"].tolist() == table["label"].tolist()
    upside_down = find(with_small(table, small)[::-1], contacts)
    assert upside_down.fibers["is_atrophic"].tolist() == small[::-1].tolist()
    assert upside_down.summary["p"] == found.summary["p"]


def test_the_same_seed_gives_the_same(healthy) -> None:
    table, contacts = healthy
    small = np.random.default_rng(3).random(len(table)) < 0.2
    table = with_small(table, small)
    assert find(table, contacts).summary == find(table, contacts).summary
    assert find(table, contacts, seed=1).summary["expected"] != pytest.approx(
        find(table, contacts).summary["expected"], abs=1e-9
    )


def test_groups_that_chance_makes_of_scattered_fibers_are_not_called(healthy) -> None:
    """With a fifth of small fibers several groups come by chance (criteria §4.8)."""
    table, contacts = healthy
    small = np.random.default_rng(1).random(len(table)) < 0.2
    summary = find(with_small(table, small), contacts).summary
    assert summary["groups"]["n"] >= 3
    assert summary["groups"]["max_fibers"] >= 6
    assert summary["pattern"] == "scattered"
    assert summary["groups"]["number"]["p_holm"] > 0.05
    assert summary["groups"]["number"]["expected"] > 2


def patched_types(table: pd.DataFrame) -> np.ndarray:
    row, column = table["centroid_y_um"] / 60, table["centroid_x_um"] / 60
    return np.where(np.sin(row * 1.1) + np.sin(column * 1.1) > 0, "IIA", "I")


def test_atrophy_of_one_type_in_grouped_types_is_not_grouped_atrophy(healthy) -> None:
    table, contacts = healthy
    types = patched_types(table)
    small = (types == "IIA") & (np.random.default_rng(0).random(len(table)) < 0.4)
    table = with_small(table, small).assign(type=types)
    summary = find(table, contacts).summary
    assert summary["pattern"] == "scattered"
    assert summary["nulls"]["fascicle"]["p"] < 0.01
    assert "types" in summary["null"] or "type class" in summary["null"]
    assert "where fibers of one type" in " ".join(summary["notes"])
    assert "of type IIA: groups are of one type" in " ".join(summary["notes"])
    without_types = find(table.drop(columns="type"), contacts).summary
    assert without_types["pattern"] == "grouped"
    assert "Types are not known" in " ".join(without_types["strata"])


@pytest.mark.parametrize("part", ["all around", "on one side"])
def test_perifascicular_atrophy_is_not_grouped_atrophy(healthy, part: str) -> None:
    table, contacts = healthy
    outer = (table["layer"] == 1).to_numpy(bool)
    if part == "on one side":
        outer &= (table["centroid_y_um"] % 600 < 90).to_numpy()
    small = outer & (np.random.default_rng(0).random(len(table)) < 0.85)
    summary = find(with_small(table, small), contacts).summary
    assert summary["pattern"] in ("scattered", "along borders")
    assert summary["nulls"]["fascicle"]["p"] < 0.01
    assert "touch perimysium" in " ".join(summary["notes"])


def test_groups_inside_are_called_beside_atrophy_at_the_edge(healthy) -> None:
    table, contacts = healthy
    outer = (table["layer"] == 1).to_numpy(bool)
    small = outer & (np.random.default_rng(0).random(len(table)) < 0.5)
    small |= patches(table, [(5.0, 5.0), (15.0, 15.0), (25.0, 5.0), (5.0, 25.0)], 1.6)
    summary = find(with_small(table, small), contacts).summary
    assert summary["outer"]["p"] < 0.05
    assert summary["pattern"] == "grouped"


def test_pieces_of_split_fibers_are_no_groups(healthy) -> None:
    """Over-segmentation puts two small fibers side by side, with a wide contact."""
    table, contacts = healthy
    rng = np.random.default_rng(2)
    pairs = contacts.pairs
    row = rng.choice(len(pairs), 60, replace=False)
    small = np.zeros(len(table), bool)
    small[pairs[row].ravel()] = True
    share = contacts.shared_share.copy()
    share[row] = 0.5
    split = Contacts(
        contacts.labels, pairs, contacts.gap_um, contacts.shared_um, share, contacts.inner
    )
    table = with_small(table, small)
    assert find(table, contacts).summary["p"] < 0.05
    summary = find(table, split).summary
    assert summary["p"] < 0.05
    assert summary["without_wide_contacts"]["p"] >= 0.05
    assert summary["pattern"] == "cannot tell"


def test_whole_atrophic_fascicles_cannot_be_told_by_permuting_within_them(healthy) -> None:
    table, contacts = healthy
    small = table["fascicle"].isin([1, 5]).to_numpy(bool)
    summary = find(with_small(table, small), contacts).summary
    assert summary["pattern"] == "cannot tell"
    assert summary["mostly_atrophic_fascicles"]["fascicles"] == [1, 5]
    assert summary["nulls"]["section"]["p"] < 0.01
    assert summary["groups"]["n_large"] == 2


def test_mostly_small_fibers_without_a_reference_cannot_be_told(healthy) -> None:
    table, contacts = healthy
    small = np.random.default_rng(0).random(len(table)) < 0.7
    found = find(with_small(table, small), contacts, sex=None)
    assert (found.summary["assessable"], found.summary["p"]) == (False, None)
    assert "cannot be told" in found.summary["why_not"]
    assert found.fibers["is_atrophic"].isna().all()
    assert find(with_small(table, small), contacts).summary["assessable"]


def test_regenerating_excluded_and_cut_fibers_make_no_groups(healthy) -> None:
    table, contacts = healthy
    small = patches(table, PLACES, 1.8)
    table = with_small(table, small)
    for column, value in (
        ("condition", "regenerating"),
        ("excluded", "in an artefact"),
        ("touches_border", True),
    ):
        marked = table.copy()
        marked.loc[small, column] = value
        found = find(marked, contacts)
        assert not found.fibers["is_atrophic"][small].notna().any()
        assert found.summary["groups"]["n"] == 0 if found.summary["assessable"] else True
        assert len(found.clusters) == 0


def test_angular_fibers_are_told_in_groups_and_outside(healthy) -> None:
    table, contacts = healthy
    small = patches(table, PLACES, 1.8)
    table = with_small(table, small)
    table.loc[small, ["circularity", "solidity"]] = 0.6, 0.8
    table.loc[np.flatnonzero(small)[0], "shape_assessable"] = False
    found = find(table, contacts)
    assert found.summary["groups"]["angular_in_groups"]["n"] == small.sum() - 1
    assert found.fibers["is_angular_atrophic"][small].isna().sum() == 1
    assert found.fibers["is_angular_atrophic"].sum() == small.sum() - 1


@pytest.mark.parametrize(
    ("n_small", "n_edges", "why"),
    [(0, None, "a group needs 5"), (900, None, "all fibers are atrophic"), (90, 0, "in contact")],
)
def test_not_assessable(healthy, n_small: int, n_edges: int | None, why: str) -> None:
    table, contacts = healthy
    table = table.assign(min_feret_um=58 + 0.001 * np.arange(len(table)))
    small = np.zeros(len(table), bool)
    small[: n_small if n_small < 900 else None] = True
    if n_edges == 0:
        nothing = np.empty(0)
        contacts = Contacts(
            contacts.labels, contacts.pairs[:0], nothing, nothing, nothing, contacts.inner
        )
    found = find(with_small(table, small), contacts)
    assert found.summary["verdict"] == "not assessable"
    assert why in found.summary["why_not"]
    assert found.summary["p"] is None
    json.dumps(found.summary, allow_nan=False)


def test_fascicles_layers_and_contacts_may_be_missing(healthy) -> None:
    table, contacts = healthy
    small = patches(table, PLACES, 1.8)
    table = with_small(table, small)
    table["fascicle"] = table["layer"] = pd.array([pd.NA] * len(table), dtype="Int64")
    summary = find(table, contacts).summary
    assert summary["pattern"] == "grouped"
    assert "fascicles are not known" in " ".join(summary["strata"])
    assert (summary["outer"], summary["among_inner"]) == (None, None)
    bare = table.drop(columns=["fascicle", "layer", "condition"])
    part = contacts.among(np.arange(len(table)) % 50 > 0)
    found = find(bare, part)
    assert found.summary["n_in_graph"] == len(part.labels)
    assert len(found.fibers) == len(table)


ALARM_FIELDS = 1000


@pytest.mark.slow
@pytest.mark.parametrize("arrangement", ["scattered", "one type", "at the edge", "all of these"])
def test_false_alarms_of_the_primary_test(arrangement: str) -> None:
    table, contacts = draw_fascicles()
    rng = np.random.default_rng(11)
    # contacts differ from fiber to fiber, as in tissue, so that few statistics are equal
    pairs = contacts.pairs[rng.random(len(contacts.pairs)) < 0.9]
    types = patched_types(table)
    outer = (table["layer"] == 1).to_numpy(bool)
    chance = {
        "scattered": 0.2,
        "one type": np.where(types == "IIA", 0.4, 0.0),
        "at the edge": np.where(outer, 0.5, 0.03),
        "all of these": np.where(outer, 0.5, 0.05) * np.where(types == "IIA", 1.0, 0.4),
    }[arrangement]
    alarms = 0
    for _ in range(ALARM_FIELDS):
        atrophic = rng.random(len(table)) < chance
        strata = find_strata(table.assign(type=types, atrophic=atrophic))
        codes = atrophic.astype(np.int64)
        drawn = stratified_permutations(codes, strata.of[strata.primary], 99, rng)
        permuted = np.concatenate([measure_joins(pairs, part)[:, 0] for part in drawn])
        observed = measure_joins(pairs, codes[:, None])[0, 0]
        alarms += permutation_p(observed, permuted, tail="greater") <= 0.05
    assert 0.035 <= alarms / ALARM_FIELDS <= 0.065


def test_a_type_that_is_wholly_atrophic_leaves_nothing_to_exchange(healthy) -> None:
    table, contacts = healthy
    types = patched_types(table)
    # no healthy fiber may lie below the limit
    table = table.assign(min_feret_um=58 + 0.001 * np.arange(len(table)), type=types)
    summary = find(with_small(table, types == "IIA"), contacts).summary
    assert (summary["p"], summary["z"], summary["pattern"]) == (None, None, "cannot tell")
    assert summary["nulls"]["fascicle"]["p"] < 0.01
    some = np.random.default_rng(0).random(len(table)) < 0.9
    most = find(with_small(table, (types == "IIA") & some), contacts).summary
    assert most["p"] > 0.05
    assert most["in_mostly_atrophic_types"]["share"] > 0.5
    assert most["pattern"] == "cannot tell"


def test_atrophic_fibers_without_contacts_are_not_assessable(healthy) -> None:
    table, contacts = healthy
    table = table.assign(min_feret_um=58 + 0.001 * np.arange(len(table)))
    small = np.arange(len(table)) % 9 == 0
    alone = ~small[np.searchsorted(table["label"], contacts.labels)][contacts.pairs].any(axis=1)
    shared = contacts.gap_um[alone], contacts.shared_um[alone], contacts.shared_share[alone]
    apart = Contacts(contacts.labels, contacts.pairs[alone], *shared, contacts.inner)
    summary = find(with_small(table, small), apart).summary
    assert "other fibers alone" in summary["why_not"]
    assert summary["p"] is None
    json.dumps(summary, allow_nan=False)
