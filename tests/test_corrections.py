from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.corrections import (
    CORRECTED,
    SET_IN_REVIEW,
    Corrections,
    correct_conditions,
    correct_exclusions,
    correct_types,
    corrected_column,
    probabilities_of_type,
    with_corrected,
    with_record,
)
from biopsy_ai.measure.condition import FLAGS
from biopsy_ai.patterns.fiber_types import FiberTypes, type_fibers

LABELS = np.array([2, 3, 5, 8], np.int64)


def flags() -> pd.DataFrame:
    table = pd.DataFrame({"label": LABELS})
    for flag in FLAGS:
        table[flag] = 0.1
    table["necrotic"], table["edge"] = [0.1, 0.9, 0.1, np.nan], [0.1, 1.0, 0.1, 0.1]
    table["condition"] = ["normal", "necrotic", "normal", ""]
    table["condition_reason"] = ["", "necrotic: pale; edge: cut", "", ""]
    return table


def typing(*, told: bool = True) -> FiberTypes:
    frame = pd.DataFrame(
        {
            "label": LABELS,
            "type": ["I", "II", "undetermined", "II"] if told else "",
            "type_posterior": [0.9, 0.95, np.nan, 0.85] if told else np.nan,
            "type_i_posterior": [0.9, 0.05, 0.5, 0.15] if told else np.nan,
        }
    )
    if told:
        frame["p_I"] = frame["type_i_posterior"]
        frame["p_II"] = 1 - frame["p_I"]
    why_not = None if told else "the stain shows no types"
    return FiberTypes(frame, {"assessable": told, "why_not": why_not, "source": "mixture"})


def test_nothing_decided_changes_nothing() -> None:
    table = pd.DataFrame({"label": LABELS, "excluded": ""})
    none = Corrections()
    assert not none.reviewed
    assert correct_exclusions(table, none) is table
    assert with_corrected(table, none) is table
    assert with_record(none, LABELS, LABELS) is none
    before, types = flags(), typing()
    assert correct_conditions(before, none) is before
    assert correct_types(types, none) is types
    # fibers that are gone since
    assert correct_conditions(before, Corrections(conditions={7: "split"})) is before
    assert correct_types(types, Corrections(types={7: "I"})) is types


@pytest.mark.parametrize(
    "changed",
    [
        Corrections(types={1: "I"}),
        Corrections(conditions={1: "normal"}),
        Corrections(exclusions={1: ""}),
        Corrections(outlines=frozenset({1})),
        Corrections(accepted=frozenset({1})),
        Corrections(record={"n_edits": 0}),
    ],
)
def test_anything_decided_is_a_review(changed: Corrections) -> None:
    assert changed.reviewed


def test_exclusions_win_both_ways() -> None:
    table = pd.DataFrame(
        {"label": LABELS, "excluded": ["", "cut by the image border; blurred", "", "blurred"]}
    )
    decided = correct_exclusions(table, Corrections(exclusions={2: "torn", 3: "", 8: "torn"}))
    assert decided["excluded"].tolist() == [
        *("excluded in review: torn", "", "", "excluded in review: torn")
    ]
    assert table["excluded"].tolist()[1].startswith("cut"), "the table given stays as it is"
    assert decided["excluded"].dtype == table["excluded"].dtype


def test_a_condition_wins_and_doubts_stay() -> None:
    before = flags()
    found = correct_conditions(before, Corrections(conditions={3: "split", 8: "normal"}))
    found = found.set_index("label")
    assert found.loc[3, ["condition", "condition_reason"]].tolist() == ["split", SET_IN_REVIEW]
    assert found.loc[3, ["split", "necrotic", "edge"]].tolist() == [1.0, 0.0, 1.0]
    assert found.loc[8, ["condition", "necrotic", "edge"]].tolist() == ["normal", 0.0, 0.1]
    pd.testing.assert_frame_equal(
        found.loc[[2, 5]].reset_index(), before.iloc[[0, 2]].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(before, flags())


def test_several_conditions_and_a_doubt_can_be_named() -> None:
    decided = Corrections(conditions={2: "split;vacuolated", 5: "artefact"})
    found = correct_conditions(flags(), decided).set_index("label")
    assert found.loc[2, ["split", "vacuolated", "necrotic"]].tolist() == [1.0, 1.0, 0.0]
    assert found.loc[5, "artefact"] == 1.0


def test_probabilities_of_type() -> None:
    assert probabilities_of_type("I") == (1.0, 1.0)
    for kind in ("II", "IIA", "IIX", "IIA/IIX"):
        assert probabilities_of_type(kind) == (1.0, 0.0)
    for kind in ("I/IIA", "I/IIX"):
        assert probabilities_of_type(kind) == (1.0, 0.5)
    for kind in ("undetermined", ""):
        assert np.isnan(probabilities_of_type(kind)).all()


def test_types_win_and_are_counted() -> None:
    before = typing()
    decided = Corrections(types={2: "IIA", 5: "I/IIA", 8: "undetermined"})
    found = correct_types(before, decided)
    frame = found.fibers.set_index("label")
    assert frame["type"].tolist() == ["IIA", "II", "I/IIA", "undetermined"]
    np.testing.assert_array_equal(frame["type_posterior"], [1, 0.95, 1, np.nan])
    np.testing.assert_array_equal(frame["type_i_posterior"], [0, 0.05, 0.5, np.nan])
    # the stain tells no subtypes, and nothing of hybrids
    assert frame.loc[2, ["p_I", "p_II"]].tolist() == [0.0, 1.0]
    assert frame.loc[5, ["p_I", "p_II"]].tolist() == [0.0, 0.0]
    assert frame.loc[8, ["p_I", "p_II"]].isna().all()
    assert found.fibers.columns.tolist() == before.fibers.columns.tolist()
    assert found.summary["counts"] == {"II": 1, "IIA": 1, "I/IIA": 1}
    assert (found.summary["n_undetermined"], found.summary["source"]) == (1, "mixture")
    pd.testing.assert_frame_equal(before.fibers, typing().fibers)


def test_types_of_a_person_are_all_there_is_without_a_stain_that_tells() -> None:
    found = correct_types(typing(told=False), Corrections(types={2: "I", 3: "I/IIA"}))
    assert found.summary["assessable"]
    assert found.summary["why_not"] is None
    assert (found.summary["source"], found.summary["tells_hybrids"]) == ("review", True)
    assert found.fibers["type"].tolist() == ["I", "I/IIA", "", ""]
    nobody = correct_types(typing(told=False), Corrections(types={2: "undetermined"}))
    assert not nobody.summary["assessable"]


def test_types_of_a_person_are_as_those_of_a_table() -> None:
    """A table of types and a person who sets them all lead to the same."""
    table = pd.DataFrame(
        {"label": LABELS, "min_feret_um": 50.0, "excluded": "", "centroid_y_um": 0.0}
    )
    kinds = ["I", "IIA", "I/IIX", "undetermined"]
    given = pd.DataFrame({"label": LABELS, "type": kinds})
    by_table = type_fibers(None, table, "he", given=given)
    nothing = type_fibers(None, table, "he")
    set_all = correct_types(
        nothing, Corrections(types=dict(zip(LABELS.tolist(), kinds, strict=True)))
    )
    pd.testing.assert_frame_equal(set_all.fibers, by_table.fibers, check_dtype=False)
    for key in ("assessable", "counts", "n_undetermined", "tells_hybrids"):
        assert set_all.summary[key] == by_table.summary[key]


def test_column_of_what_was_corrected() -> None:
    decided = Corrections(
        types={3: "I"},
        conditions={3: "split"},
        exclusions={3: "", 8: "torn"},
        outlines=frozenset({3}),
        accepted=frozenset({5, 99}),
    )
    assert corrected_column(LABELS, decided).tolist() == [
        *("", "outline;type;condition;exclusion", "accepted", "exclusion")
    ]
    table = pd.DataFrame({"label": LABELS, "area_um2": 1.0, "excluded": ""})
    found = with_corrected(table, decided)
    assert found.columns.tolist() == ["label", "area_um2", CORRECTED, "excluded"]
    again = with_corrected(found, Corrections(record={"n_edits": 2}))
    assert again.columns.tolist() == found.columns.tolist()
    assert (again[CORRECTED] == "").all()


def test_record_of_what_became_of_the_fibers() -> None:
    decided = Corrections(
        types={3: "I", 99: "I"},
        exclusions={8: "torn"},
        outlines=frozenset({3, 9}),
        accepted=frozenset({5}),
        record={"reviewers": ["A"]},
    )
    after = np.array([3, 5, 8, 9], np.int64)
    record = with_record(decided, LABELS, after).record
    assert record == {
        "reviewers": ["A"],
        "fibers": {
            "before": 4,
            "after": 4,
            "removed": 1,
            "corrected": 3,
            "outline": 2,
            "type": 1,
            "condition": 0,
            "exclusion": 1,
            "accepted": 1,
        },
    }
