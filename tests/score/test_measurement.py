from __future__ import annotations

import math

import numpy as np
from drawn_tables import draw_table

from biopsy_ai.score.measurement import Measurement, constant, labels_of, missing, shifted


def test_what_cannot_be_assessed_has_no_value() -> None:
    found = missing("no stain", 7)
    assert math.isnan(found.value)
    assert (found.why_not, found.n, found.labels, len(found.values)) == ("no stain", 7, (), 0)


def test_the_value_is_that_of_the_section_itself() -> None:
    assert Measurement(np.array([3.0, 9.0, 9.0])).value == 3.0
    assert constant(2, 4).tolist() == [2.0] * 4


def test_replicates_are_moved_to_the_value() -> None:
    np.testing.assert_allclose(shifted(1.0, np.array([0.2, 0.3, 0.1])), [1.0, 1.1, 0.9])
    np.testing.assert_allclose(shifted(1.0, np.array([0.2, np.nan, 0.1])), [1.0, 1.0, 0.9])
    np.testing.assert_allclose(shifted(1.0, np.full(3, np.nan)), [1.0] * 3)


def test_labels_come_with_the_most_telling_first() -> None:
    section = draw_table(rows=4, columns=4).section()
    flags = np.isin(section.labels, [2, 5, 9, 11])
    assert labels_of(section, flags) == (2, 5, 9, 11)
    by = np.full(16, 0.0)
    by[[1, 4, 8, 10]] = [1.0, np.nan, 3.0, 1.0]
    assert labels_of(section, flags, by) == (9, 2, 11, 5)
    assert labels_of(section, np.zeros(16, bool)) == ()
