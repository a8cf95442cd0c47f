import numpy as np
import pytest

from biopsy_ai.config import TypeBorder
from biopsy_ai.patterns.type_border import (
    LEAST_SHARE,
    move_border,
    moved_share,
    share_before,
    type_i_share,
)

BORDER = TypeBorder(slope=0.7, offset=-1.2)


def test_the_logit_is_stretched_and_moved():
    found = moved_share(np.array([0.5, 0.9, 1.0, np.nan]), BORDER)
    logit = -1.2 + 0.7 * np.log(9)
    np.testing.assert_allclose(found[:2], [1 / (1 + np.exp(1.2)), 1 / (1 + np.exp(-logit))])
    assert found[2] == moved_share(np.array([1 - LEAST_SHARE]), BORDER)[0]
    assert np.isnan(found[3])


def test_a_moved_border_is_taken_back():
    share = np.array([0.001, 0.3, 0.98])
    np.testing.assert_allclose(share_before(moved_share(share, BORDER), BORDER), share)


def test_types_are_parted_anew_and_hybrids_stay():
    before = {
        "I": np.array([0.6, 0.0, np.nan]),
        "IIA": np.array([0.1, 0.3, np.nan]),
        "IIX": np.array([0.1, 0.6, np.nan]),
        "I/IIA": np.array([0.2, 0.1, np.nan]),
    }
    after = move_border(before, BORDER)
    np.testing.assert_allclose(sum(after.values())[:2], 1.0)
    np.testing.assert_array_equal(after["I/IIA"], before["I/IIA"])
    np.testing.assert_allclose(after["IIX"][:2] / after["IIA"][:2], [1.0, 2.0])
    share = type_i_share(after)
    np.testing.assert_allclose(share, moved_share(type_i_share(before), BORDER))
    assert all(np.isnan(values[2]) for values in after.values())


def test_a_fiber_that_was_surely_type_i_can_become_type_ii():
    before = {"I": np.array([1.0]), "IIA": np.array([0.0]), "IIX": np.array([0.0])}
    after = move_border(before, TypeBorder(slope=0.5, offset=-9.0))
    assert after["I"][0] < 0.1
    assert after["IIA"][0] == after["IIX"][0] == pytest.approx((1 - after["I"][0]) / 2)


def test_nothing_moves_where_one_type_alone_is_told():
    for before in (
        {"I": np.array([0.4]), "undetermined": np.array([0.6])},
        {"IIA": np.array([0.4]), "undetermined": np.array([0.6])},
        {"I": np.array([0.0]), "II": np.array([0.0]), "undetermined": np.array([1.0])},
    ):
        after = move_border(before, BORDER)
        for kind, values in before.items():
            np.testing.assert_array_equal(after[kind], values)
    assert np.isnan(type_i_share({"I": np.array([0.4])})).all()
