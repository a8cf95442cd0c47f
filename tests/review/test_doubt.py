"""Which fibers are doubtful, and how that is told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.review.doubt import LEAST_DOUBT, Doubts, Scale


def plain(n: int = 40) -> pd.DataFrame:
    """Fibers that nothing speaks against."""
    return pd.DataFrame(
        {
            "label": np.arange(1, n + 1) * 3,
            "area_um2": 1000.0,
            "solidity": 0.98,
            "feret_aspect_ratio": 1.3,
            "shape_assessable": True,
            "touches_border": False,
            "confidence": np.full(n, 0.99, np.float32),
            "type": "I",
            "type_posterior": 1.0,
            "excluded": "",
        }
    )


def contact(one: int, other: int, gap: float, share: float) -> dict[str, float]:
    return {"label": one, "neighbor": other, "gap_um": gap, "shared_um": 9.0, "shared_share": share}


def queue_of(fibers: pd.DataFrame, contacts: list[dict[str, float]] | None = None, among=None):
    saved = SimpleNamespace(
        fibers=fibers, contacts=None if contacts is None else pd.DataFrame(contacts)
    )
    return Doubts(saved).queue(fibers["label"].tolist() if among is None else among)


def test_nothing_is_doubtful_in_a_good_section():
    queue = queue_of(plain(), [contact(3, 6, 3.0, 0.2), contact(6, 9, 3.2, 0.2)])
    assert queue.empty
    assert list(queue.columns) == ["label", "doubt", "reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"confidence": 0.7}, "outlined with certainty 0.70"),
        ({"solidity": 0.8}, "concave outline (solidity 0.80)"),
        ({"feret_aspect_ratio": 5.0}, "5.0 times as long as wide"),
        ({"area_um2": 30.0}, "very small: 3% of the median area"),
        ({"area_um2": 2300.0, "solidity": 0.88}, "may be two fibers: 2.3 times the median area"),
        ({"type_posterior": 0.6}, "type I with a probability of 0.60"),
        ({"type": "undetermined", "type_posterior": np.nan}, "the type cannot be told"),
    ],
)
def test_each_sign_is_told_in_words(change, words):
    fibers = plain()
    for name, value in change.items():
        fibers.loc[7, name] = value
    queue = queue_of(fibers)
    assert queue["label"].tolist() == [24]
    assert words in queue["reason"][0]
    assert LEAST_DOUBT <= queue["doubt"][0] < 1
    # a fiber that does not count is less worth a look
    fibers.loc[7, "excluded"] = "in an artefact"
    assert queue_of(fibers)["doubt"][0] < queue["doubt"][0]


def test_a_large_fiber_of_good_shape_is_not_two():
    fibers = plain()
    fibers.loc[7, "area_um2"] = 4000.0
    assert queue_of(fibers).empty


def test_the_shape_of_a_cut_or_tiny_fiber_says_nothing():
    fibers = plain()
    fibers.loc[7, ["solidity", "touches_border"]] = 0.7, True
    fibers.loc[8, ["solidity", "shape_assessable"]] = 0.7, False
    fibers.loc[9, "solidity"] = np.nan
    assert queue_of(fibers).empty


def test_two_small_fibers_with_hardly_a_gap_may_be_one():
    fibers = plain()
    fibers.loc[[1, 2], "area_um2"] = 400.0
    usual = [contact(3, 9 + 3 * k, 3.0, 0.2) for k in range(9)]
    near = contact(6, 9, 0.8, 0.4)
    queue = queue_of(fibers, [*usual, near])
    assert queue["label"].tolist() == [6, 9]
    assert queue["reason"].tolist() == [
        "may be one fiber with 9, 0.8 µm away",
        "may be one fiber with 6, 0.8 µm away",
    ]
    # neither two large ones, nor two that hardly touch
    assert queue_of(
        fibers.assign(area_um2=fibers["area_um2"].where(fibers["label"] > 9, 1600.0)),
        [*usual, near],
    ).empty
    assert queue_of(fibers, [*usual, contact(6, 9, 0.8, 0.05)]).empty
    # once one of them was looked at, nothing is left to ask
    assert queue_of(fibers, [*usual, near], among=[3, 9, 12]).empty


def test_several_signs_add_up_and_the_strongest_is_told_first():
    fibers = plain()
    fibers.loc[4, "confidence"] = 0.85
    fibers.loc[5, ["confidence", "type_posterior"]] = 0.85, 0.55
    queue = queue_of(fibers)
    assert queue["label"].tolist() == [18, 15]
    assert queue["reason"][0].startswith("type I with a probability")
    assert "; outlined with certainty 0.85" in queue["reason"][0]
    assert queue["doubt"].is_monotonic_decreasing


def test_scales_run_either_way():
    falling = Scale(none=0.9, full=0.5, weight=1)
    assert falling.of(np.array([1.0, 0.9, 0.7, 0.5, 0.1, np.nan])).tolist() == pytest.approx(
        [0, 0, 0.5, 1, 1, 0]
    )
    rising = Scale(none=1, full=3, weight=1)
    assert rising.of(np.array([0.0, 2.0, np.inf])).tolist() == [0, 0.5, 1]


def test_a_section_without_types_contacts_or_fibers():
    untyped = plain().drop(columns=["type", "type_posterior"])
    untyped.loc[0, "confidence"] = 0.5
    assert queue_of(untyped)["label"].tolist() == [3]
    assert queue_of(plain(0)).empty
    assert queue_of(plain(), []).empty
