import json

import numpy as np
import pandas as pd
import pytest
from drawn_mosaics import (
    clumped,
    contacts_of,
    edges_within,
    hexagons,
    inside,
    square_fascicles,
    types_of,
)

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.type_grouping import find_type_grouping

QUICK = Limits(
    {
        "largest_group_permutations": 99,
        "exploratory_permutations": 199,
        "sensitivity_perturbations": 10,
    }
)


def find(contacts, table, n_permutations=499, limits=QUICK, **options):
    found = find_type_grouping(
        contacts, table, n_permutations=n_permutations, limits=limits, **options
    )
    json.dumps(found.summary, allow_nan=False)
    return found


def fascicles_of(centers, pairs, side=10.0):
    """Contacts and inner fibers of square fascicles, with their numbers and layers."""
    fascicle, layer = square_fascicles(centers, side)
    pairs = pairs[fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]]
    return contacts_of(pairs, layer > 1), fascicle, pd.array(layer, dtype="Int64")


def test_age_and_muscle_are_held_against_grouping():
    rng = np.random.default_rng(0)
    centers, pairs = hexagons(25, 24)
    table = types_of(clumped(pairs, 600, rng), centers)
    contacts = contacts_of(pairs, inside(centers))

    def notes(**options):
        return " ".join(find(contacts, table, **options).summary["notes"])

    assert "age is not given" in notes()
    assert "healthy" not in notes(age=30, muscle="vastus lateralis")
    assert "normal at the age of 71" in notes(age=71)
    assert "Extensor digitorum brevis" in notes(age=30, muscle="Extensor digitorum brevis")


def test_true_groups_are_found_and_listed():
    rng = np.random.default_rng(0)
    centers, pairs = hexagons(25, 24)
    contacts = contacts_of(pairs, inside(centers))
    found = find(contacts, types_of(clumped(pairs, 600, rng), centers))
    summary = found.summary
    assert summary["assessable"]
    assert summary["p"] == pytest.approx(1 / 500)
    assert summary["z"] < -5
    assert summary["verdict"] == "grouped"
    assert 0.2 < summary["assortativity_low"] < summary["assortativity"]
    assert summary["assortativity"] < summary["assortativity_high"] < 1
    assert summary["n_edges"] == len(pairs) == summary["different_type_joins"]["n"]
    assert summary["enough"]
    for name in ("I", "II"):
        assert summary["enclosed"][name]["p_adjusted"] < 0.05
        assert summary["enclosed"][name]["observed"] > summary["enclosed"][name]["expected"]
        assert summary["groups"][name]["share_grouped"] > 0.5
        assert summary["groups"][name]["share_grouped_by_chance"] < 0.3
    assert summary["sensitivity"]["share_below_level"] == 1

    assert found.fibers["label"].tolist() == contacts.labels.tolist()
    assert str(found.fibers["group"].dtype) == "Int64"
    assert str(found.fibers["is_enclosed"].dtype) == "boolean"
    assert found.fibers["is_enclosed"].isna().sum() == np.count_nonzero(~contacts.inner)
    sizes = found.fibers["group"].value_counts().sort_index()
    assert sizes.tolist() == found.groups["n_fibers"].tolist()
    first = found.groups.iloc[0]
    members = [int(label) for label in first["members"].split()]
    assert found.fibers.set_index("label").loc[members, "group"].eq(1).all()
    assert found.groups["n_enclosed"].sum() == found.fibers["is_enclosed"].sum()


def test_chance_is_no_grouping_and_the_seed_decides():
    rng = np.random.default_rng(1)
    centers, pairs = hexagons(25, 24)
    contacts = contacts_of(pairs, inside(centers))
    table = types_of(rng.random(600) < 0.5, centers)
    found, again = find(contacts, table), find(contacts, table)
    assert found.summary == again.summary
    assert found.summary["verdict"] == "random"
    other = find(contacts, table, seed=1).summary["different_type_joins"]
    assert other["expected"] != found.summary["different_type_joins"]["expected"]
    assert (
        other["within_strata_exact"] == found.summary["different_type_joins"]["within_strata_exact"]
    )
    test = found.summary["different_type_joins"]
    assert test["expected"] == pytest.approx(test["unstratified"]["expected"], rel=0.01)
    assert test["sd"] == pytest.approx(test["unstratified"]["sd"], rel=0.1)
    assert test["within_strata_exact"] == pytest.approx(test["unstratified"])


def test_dispersed_types_are_a_normal_state():
    centers, pairs = hexagons(24, 24)
    # each fiber of type I has six neighbors of type II
    row = np.round(centers[:, 0] * 2 / np.sqrt(3)).astype(int)
    along = np.round(centers[:, 1] - row / 2).astype(int)
    lattice = (along - row) % 3 == 0
    found = find(contacts_of(pairs, inside(centers)), types_of(lattice, centers)).summary
    assert found["assortativity"] < -0.2
    assert found["p"] > 0.99
    assert found["verdict"] == "dispersed"
    assert "normal state" in found["text"]


# --- traps: criteria §4.5, §4.7 and §8.3 ----------------------------------------------------------


def test_a_type_of_two_thirds_hangs_together_by_chance():
    rng = np.random.default_rng(2)
    centers, pairs = hexagons(30, 30)
    found = find(contacts_of(pairs, inside(centers)), types_of(rng.random(900) < 0.66, centers))
    largest = found.summary["largest_group"]["I"]
    assert largest["share"] > 0.9
    assert largest["ratio"] == pytest.approx(1, abs=0.05)
    assert largest["p_adjusted"] > 0.05
    # many fibers are enclosed, and groups listed, without any grouping
    assert found.summary["enclosed"]["I"]["observed"] > 20
    assert found.summary["enclosed"]["I"]["p_adjusted"] > 0.05
    assert found.summary["groups"]["I"]["n_groups"] > 0
    assert found.summary["verdict"] == "random"
    assert any("by chance" in note for note in found.summary["notes"])


def test_differences_between_fascicles_are_no_grouping():
    rng = np.random.default_rng(3)
    centers, pairs = hexagons(34, 30)
    contacts, fascicle, layer = fascicles_of(centers, pairs)
    share = rng.uniform(0.15, 0.85, fascicle.max() + 1)
    table = types_of(rng.random(len(centers)) < share[fascicle], centers)
    table["fascicle"], table["layer"] = fascicle, layer
    found = find(contacts, table).summary
    test = found["different_type_joins"]
    assert test["unstratified"]["z"] < -3
    assert found["p"] > 0.05
    assert found["assortativity_detail"]["expected_within_strata"] > 0.05
    assert abs(found["assortativity_detail"]["above_chance"]) < 0.05
    assert found["trend"] is None


def test_type_ii_at_the_borders_of_fascicles_is_no_grouping():
    rng = np.random.default_rng(4)
    centers, pairs = hexagons(34, 30)
    contacts, fascicle, layer = fascicles_of(centers, pairs)
    table = types_of(rng.random(len(centers)) < np.where(layer == 1, 0.1, 0.7), centers)
    table["fascicle"], table["layer"] = fascicle, layer
    found = find(contacts, table).summary
    assert found["different_type_joins"]["unstratified"]["z"] < -3
    assert found["p"] > 0.05


def test_a_gradient_is_not_grouping():
    rng = np.random.default_rng(5)
    centers, pairs = hexagons(50, 50)
    share = 0.1 + 0.8 * centers[:, 0] / centers[:, 0].max()
    found = find(contacts_of(pairs, inside(centers)), types_of(rng.random(2500) < share, centers))
    assert found.summary["p"] < 0.05
    assert found.summary["verdict"] == "graded"
    assert "a gradient is not grouping" in found.summary["text"]
    assert any("smooth trend" in note for note in found.summary["notes"])


def test_fibers_in_pieces_look_like_grouping_and_the_guard_says_so():
    """A fifth of the fibers of a random mosaic in two halves of one type (§4.7)."""
    rng = np.random.default_rng(6)
    centers, pairs = hexagons(34, 30)
    types = rng.random(len(centers)) < 0.45
    cut = rng.permutation(len(centers))[: len(centers) // 5]
    halves = np.vstack([centers, centers[cut] + [0.25, 0.0]])
    halves[cut] -= [0.25, 0.0]
    edges = edges_within(halves, 1.12)
    own = {(int(a), len(centers) + k) for k, a in enumerate(cut)}
    shared = np.array([0.4 if (int(a), int(b)) in own else 0.16 for a, b in edges])
    table = types_of(np.r_[types, types[cut]], halves)
    found = find(contacts_of(edges, inside(halves), shared), table).summary
    guard = found["over_segmentation"]
    assert guard["n_dropped"] == len(cut)
    assert found["p"] < 0.05
    assert guard["p"] > 0.05
    assert guard["assortativity"] < found["assortativity"] - 0.03
    assert any("outlined in pieces" in note for note in found["notes"])
    assert found["verdict"] == "cannot tell"


def test_long_contacts_alone_leave_nothing_to_test():
    pairs = np.column_stack([np.arange(59), np.arange(1, 60)])
    contacts = contacts_of(pairs, np.zeros(60, bool), np.full(59, 0.5))
    found = find(contacts, types_of(np.arange(60) < 30)).summary
    assert found["p"] < 0.05
    assert found["over_segmentation"]["assortativity"] is None
    assert any("nothing is left to test" in note for note in found["notes"])
    assert found["verdict"] == "cannot tell"


def test_permutations_may_leave_all_contacts_to_one_type():
    pairs = np.column_stack([np.arange(24), np.arange(1, 25)])
    found = find(contacts_of(pairs, np.zeros(200, bool)), types_of(np.arange(200) < 8)).summary
    assert np.isfinite(found["assortativity_detail"]["expected_within_strata"])


def test_true_groups_with_long_borders_stay_grouped_without_these():
    """Angular fibers share much of their border with their neighbors; that is no fault."""
    rng = np.random.default_rng(7)
    centers, pairs = hexagons(25, 24)
    shared = np.where(rng.random(len(pairs)) < 0.1, 0.45, 0.16)
    contacts = contacts_of(pairs, inside(centers), shared)
    found = find(contacts, types_of(clumped(pairs, 600, rng), centers)).summary
    assert found["over_segmentation"]["p"] < 0.01
    assert found["over_segmentation"]["assortativity"] > 0.8 * found["assortativity"]
    assert not any("outlined in pieces" in note for note in found["notes"])


def test_typing_errors_are_taken_out_and_told():
    rng = np.random.default_rng(8)
    centers, pairs = hexagons(40, 40)
    true = clumped(pairs, 1600, rng)
    wrong = rng.random(1600) < 0.1
    table = types_of(true ^ wrong, centers)
    table["type_i_posterior"] = np.where(true ^ wrong, 0.9, 0.1)
    found = find(contacts_of(pairs, inside(centers)), table).summary
    clean = find(contacts_of(pairs, inside(centers)), types_of(true, centers)).summary
    detail = found["assortativity_detail"]
    assert detail["typing_error"] == pytest.approx(0.1)
    assert found["assortativity"] < 0.75 * clean["assortativity"]
    assert detail["without_typing_error"] == pytest.approx(clean["assortativity"], rel=0.1)
    assert any("typed wrongly" in note for note in found["notes"])
    assert 0 < found["soft"]["assortativity"] < found["assortativity"]
    assert found["soft"]["different_type_joins"]["z"] < -5
    assert clean["soft"] is None
    assert clean["assortativity_detail"]["typing_error"] is None


def test_hybrids_count_softly_only():
    rng = np.random.default_rng(9)
    centers, pairs = hexagons(20, 20)
    types = rng.random(400) < 0.5
    table = types_of(types, centers)
    table["type_i_posterior"] = np.where(types, 0.97, 0.03)
    hybrid = rng.permutation(400)[:40]
    table.loc[hybrid, "type"] = "I/IIA"
    table.loc[hybrid, "type_i_posterior"] = 0.5
    found = find(contacts_of(pairs, inside(centers)), table).summary
    assert found["n_typed"] == 360
    assert found["left_out"]["neither type I nor II"] == 40
    assert found["soft"]["n_fibers"] == 400


def test_small_samples_are_marked():
    rng = np.random.default_rng(10)
    centers, pairs = hexagons(9, 9)
    found = find(contacts_of(pairs, inside(centers)), types_of(rng.random(81) < 0.5, centers))
    assert found.summary["p"] is not None
    assert not found.summary["enough"]
    assert any("not suited" in note for note in found.summary["notes"])


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (np.full(400, True), "400 fibers are of type I and 0 of type II"),
        (np.arange(400) < 3, "3 fibers are of type I"),
    ],
)
def test_one_type_alone_cannot_be_grouped(types, words):
    centers, pairs = hexagons(20, 20)
    found = find(contacts_of(pairs, inside(centers)), types_of(types, centers))
    assert not found.summary["assessable"]
    assert words in found.summary["why_not"]
    assert found.summary["p"] is None
    assert found.summary["assortativity"] is None
    assert found.fibers["group"].isna().all()
    assert len(found.groups) == len(found.fascicles) == 0


def test_what_else_cannot_be_assessed():
    centers, pairs = hexagons(20, 20)
    contacts = contacts_of(pairs, inside(centers))
    types = np.arange(400) % 2 == 0
    untyped = types_of(types, centers)
    untyped["type"] = ""
    assert "0 complete fibers" in find(contacts, untyped).summary["why_not"]
    apart = contacts_of(pairs[:0], inside(centers))
    assert "in contact" in find(apart, types_of(types, centers)).summary["why_not"]
    sparse = contacts_of(pairs[:12], inside(centers))
    assert "12 contacts" in find(sparse, types_of(types, centers)).summary["why_not"]
    pure = types_of(types, centers)
    pure["fascicle"] = np.where(types, 1, 2)
    assert "nothing can be exchanged" in find(contacts, pure).summary["why_not"]
    few = types_of(types[:9], centers[:9])
    near = contacts_of(pairs[(pairs < 9).all(axis=1)], np.zeros(9, bool))
    assert "20 are needed" in find(near, few).summary["why_not"]


def test_without_inner_fibers_enclosure_is_not_assessed():
    rng = np.random.default_rng(11)
    centers, pairs = hexagons(20, 20)
    contacts = contacts_of(pairs, np.zeros(400, bool))
    found = find(contacts, types_of(rng.random(400) < 0.5, centers)).summary
    assert found["enclosed"]["I"] == {"why_not": "no fiber has all its neighbors seen and typed"}
    assert "p_adjusted" in found["largest_group"]["I"]


# --- more than two types, fascicles ---------------------------------------------------------------


def test_more_than_two_types():
    rng = np.random.default_rng(12)
    centers, pairs = hexagons(30, 30)
    table = types_of(rng.random(900) < 0.4, centers)
    fast = (table["type"] == "II").to_numpy()
    together = clumped(pairs, 900, rng)
    table.loc[fast, "type"] = np.where(together[fast], "IIA", "IIX")
    found = find(contacts_of(pairs, inside(centers)), table).summary
    assert found["p"] > 0.05
    subtypes = found["subtypes"]
    assert list(subtypes["types"]) == ["I", "IIA", "IIX"]
    assert list(subtypes["pairs"]) == ["I-IIA", "I-IIX", "IIA-IIX"]
    assert subtypes["pairs"]["IIA-IIX"]["p_adjusted"] < 0.05
    assert subtypes["pairs"]["I-IIA"]["p_adjusted"] > 0.05
    assert subtypes["same"]["IIX-IIX"]["z"] > 3
    total = sum(pair["observed"] for pair in subtypes["pairs"].values())
    assert subtypes["total_different"]["observed"] == total
    assert total + sum(same["observed"] for same in subtypes["same"].values()) == len(pairs)
    assert subtypes["assortativity"] > 0.05


def test_subtypes_of_type_ii_alone_are_still_counted():
    centers, pairs = hexagons(20, 20)
    table = types_of(np.zeros(400, bool), centers)
    table["type"] = np.array(["II", "IIA", "IIX"])[np.arange(400) % 3]
    found = find(contacts_of(pairs, inside(centers)), table).summary
    assert not found["assessable"]
    assert found["subtypes"]["total_different"]["p"] > 0.05


def test_fascicles_are_mapped():
    rng = np.random.default_rng(13)
    centers, pairs = hexagons(34, 30)
    contacts, fascicle, layer = fascicles_of(centers, pairs)
    types = rng.random(len(centers)) < 0.5
    one = fascicle == 5
    types[one] = clumped(contacts.pairs, len(centers), rng)[one]
    table = types_of(types, centers)
    table["fascicle"], table["layer"] = fascicle, layer
    table.loc[(fascicle == 1) & (np.arange(len(centers)) % 5 > 0), "type"] = "undetermined"
    found = find(contacts, table, n_permutations=999)
    rows = found.fascicles.set_index("fascicle")
    assert found.summary["fascicles"]["grouped"] == [5]
    assert found.summary["fascicles"]["n_tested"] == found.summary["fascicles"]["n"] - 1
    assert rows.loc[1, "why_not"] == "fewer than 30 typed fibers"
    assert np.isnan(rows.loc[1, "p"])
    assert pd.isna(rows.loc[1, "grouped"])
    tested = rows[rows["p"].notna()]
    assert (tested["p_adjusted"] >= tested["p"]).all()
    assert rows["observed"].sum() == found.summary["different_type_joins"]["observed"]
    assert rows["n_edges"].sum() == found.summary["n_edges"]
    assert "fascicles" in found.summary["assortativity_detail"]["interval_from"]


def test_progress_is_told():
    centers, pairs = hexagons(20, 20)
    told = set()
    find(
        contacts_of(pairs, inside(centers)),
        types_of(np.arange(400) % 3 == 0, centers),
        progress=lambda stage, done, total: told.add((stage, done == total)),
    )
    assert {("type grouping", True), ("sensitivity of grouping", True)} <= told
