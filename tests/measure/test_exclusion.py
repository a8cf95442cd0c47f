from __future__ import annotations

import pandas as pd
import pytest

from biopsy_ai.measure.exclusion import is_excluded, join_reasons


def test_a_reason_excludes_and_none_does_not() -> None:
    fibers = pd.DataFrame({"excluded": ["", "torn", None, "cut; torn"]})
    assert is_excluded(fibers).tolist() == [False, True, False, True]
    # an empty column of a CSV file is read as numbers
    assert not is_excluded(pd.DataFrame({"excluded": [float("nan")] * 3})).any()
    assert is_excluded(fibers[:0]).tolist() == []


def test_truth_values_are_refused() -> None:
    """Read as text, False would exclude."""
    for values in ([True, False], [0, 1]):
        with pytest.raises(ValueError, match="reason as text"):
            is_excluded(pd.DataFrame({"excluded": values}))


def test_reasons_are_joined_once_each() -> None:
    joined = join_reasons(["", "cut", "cut", ""], ["torn", "torn", "cut", ""], ["", "", "torn", ""])
    assert joined.tolist() == ["torn", "cut; torn", "cut; torn", ""]
    assert join_reasons([], []).tolist() == []
