from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.report.telling import most_telling


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [1, 2, 3, 4, 5],
            "angularity": [0.2, 0.9, np.nan, 0.5, 0.9],
            "min_feret_um": [30.0, 10.0, 20.0, 50.0, 40.0],
            "atrophy_cluster": pd.array([1, 2, 2, 2, None], dtype="Int64"),
        }
    )


def test_the_most_telling_fibers_come_first(table: pd.DataFrame) -> None:
    labels, words = most_telling(table, "small_angular_fibers", [1, 2, 3, 4, 5], 3)
    assert labels == [2, 5, 4]
    assert words == "the most angular"
    assert most_telling(table, "atrophic_fibers", [1, 2, 3], 9)[0] == [2, 3, 1]


def test_of_each_group_one_comes_first(table: pd.DataFrame) -> None:
    labels, _ = most_telling(table, "grouped_atrophy", [1, 2, 3, 4, 5], 9)
    assert labels == [2, 1, 3, 4, 5]


def test_an_order_that_is_not_known_stays(table: pd.DataFrame) -> None:
    assert most_telling(table, "new_finding", [4, 2, 99, 4], 9) == ([4, 2], "")
    assert most_telling(table, "necrosis", [4, 2], 1) == ([4], "")
    unknown = table.assign(angularity=np.nan)
    assert most_telling(unknown, "small_angular_fibers", [4, 2], 9) == ([4, 2], "")
