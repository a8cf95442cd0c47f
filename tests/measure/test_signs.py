import numpy as np
import pytest

from biopsy_ai.measure.signs import above, any_of, below, weakest


def test_a_sign_is_a_half_probable_at_its_limit():
    values = np.array([0.0, 1.0, 2.0, np.nan])
    more, less = above(values, 1.0, 0.5, "{:.1f}"), below(values, 1.0, 0.5, "{:.1f}")
    assert more.probability[1] == less.probability[1] == 0.5
    assert more.probability[2] == pytest.approx(0.881, abs=0.001)
    assert less.probability[0] == pytest.approx(0.881, abs=0.001)
    assert np.isnan(more.probability[3])
    assert [more.tell(row) for row in (2, 3)] == ["2.0", ""]


def test_a_condition_is_as_probable_as_its_weakest_sign():
    one, other = (above(np.array(v), 1.0, 0.5, "") for v in ([1.0, 3.0], [2.0, 2.0]))
    assert weakest((one, other), 2).tolist() == [0.5, other.probability[1]]
    assert np.isnan(weakest((), 2)).all()


def test_of_several_signs_the_most_probable_speaks():
    one = above(np.array([3.0, 0.0, np.nan, np.nan]), 1.0, 0.5, "one {:.0f}")
    other = above(np.array([2.0, 2.0, 2.0, np.nan]), 1.0, 0.5, "other {:.0f}")
    either = any_of(one, other)
    assert [either.tell(row) for row in range(3)] == ["one 3", "other 2", "other 2"]
    assert (either.probability[:3] > 0.5).all()
    assert np.isnan(either.probability[3])
    assert len(any_of(above(np.zeros(0), 1.0, 0.5, "")).probability) == 0
