from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_plugin.table_model import NOTHING, FiberTableModel, first_columns, in_words


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [2, 5, 7, 11],
            "min_feret_um": [40.0, np.nan, 7.123456, 20.0],
            "type": ["II", "", "I", "I"],
            "n_nuclei": pd.array([1, pd.NA, 3, 0], dtype="Int64"),
            "is_atrophic": pd.array([False, pd.NA, True, True], dtype="boolean"),
        }
    )


@pytest.fixture
def shown(table: pd.DataFrame) -> FiberTableModel:
    model = FiberTableModel()
    model.show_table(table, ["label", "min_feret_um", "type", "n_nuclei", "is_atrophic"])
    return model


def cells(model: FiberTableModel, column: str) -> list[str]:
    place = model.columns.index(column)
    return [model.data(model.index(row, place)) for row in range(model.rowCount())]


def test_what_is_shown(shown: FiberTableModel) -> None:
    assert (shown.rowCount(), shown.columnCount()) == (4, 5)
    titles = [shown.headerData(i, Qt.Orientation.Horizontal) for i in range(5)]
    assert titles == ["fiber", "min Feret (µm)", "type", "nuclei", "atrophic"]
    assert cells(shown, "min_feret_um") == ["40", NOTHING, "7.123", "20"]
    assert cells(shown, "n_nuclei") == ["1", NOTHING, "3", "0"]
    assert cells(shown, "is_atrophic") == ["no", NOTHING, "yes", "yes"]
    assert shown.rowCount(shown.index(0, 0)) == 0, "a cell has no rows of its own"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5678, "1235"),
        (12345.678, "12,346"),
        (0.00012345, "0.0001234"),
        (3.0, "3"),
        (-2.5, "-2.5"),
        (np.float32(0.5), "0.5"),
        (np.True_, "yes"),
        (np.int64(12), "12"),
        (None, NOTHING),
        (pd.NA, NOTHING),
        ("cut", "cut"),
    ],
)
def test_in_words(value: object, text: str) -> None:
    assert in_words(value) == text


def test_numbers_stand_to_the_right(shown: FiberTableModel) -> None:
    sides = [
        shown.data(shown.index(0, place), Qt.ItemDataRole.TextAlignmentRole) for place in (1, 2)
    ]
    assert sides[0] & int(Qt.AlignmentFlag.AlignRight.value)
    assert sides[1] & int(Qt.AlignmentFlag.AlignLeft.value)


@pytest.mark.parametrize(
    ("column", "rising", "falling"),
    [
        ("min_feret_um", [7, 11, 2, 5], [2, 11, 7, 5]),
        ("type", [7, 11, 2, 5], [2, 7, 11, 5]),
        ("n_nuclei", [11, 2, 7, 5], [7, 2, 11, 5]),
        ("is_atrophic", [2, 7, 11, 5], [7, 11, 2, 5]),
    ],
)
def test_sorting_leaves_what_is_unknown_last(
    shown: FiberTableModel, column: str, rising: list[int], falling: list[int]
) -> None:
    place = shown.columns.index(column)
    shown.sort(place, Qt.SortOrder.AscendingOrder)
    assert shown.labels_at(range(4)).tolist() == rising
    shown.sort(place, Qt.SortOrder.DescendingOrder)
    assert shown.labels_at(range(4)).tolist() == falling


def test_rows_of_fibers(shown: FiberTableModel) -> None:
    shown.sort(1, Qt.SortOrder.DescendingOrder)
    assert shown.rows_of([7, 2]).tolist() == [2, 0]
    assert shown.rows_of([3, 999, 11]).tolist() == [1]
    shown.pick(np.array([True, True, False, True]))
    assert shown.rowCount() == 3
    assert shown.rows_of([7, 11]).tolist() == [1]
    assert shown.labels_at([0, 1, 2]).tolist() == [2, 11, 5]


def test_a_new_table_keeps_order_and_columns(shown: FiberTableModel, table: pd.DataFrame) -> None:
    shown.sort(1, Qt.SortOrder.AscendingOrder)
    changed = table.copy()
    changed.loc[0, "min_feret_um"] = 1.0
    shown.show_table(changed)
    assert shown.labels_at(range(4)).tolist() == [2, 7, 11, 5]
    assert len(shown.columns) == 5
    shown.show_table(changed.drop(columns="min_feret_um"))
    assert shown.labels_at(range(4)).tolist() == [2, 5, 7, 11]


def test_no_fibers(table: pd.DataFrame) -> None:
    model = FiberTableModel()
    assert model.rowCount() == 0
    model.show_table(table.iloc[:0], ["label", "type"])
    assert model.rowCount() == 0
    assert model.rows_of([3]).tolist() == []
    assert model.labels_at([]).tolist() == []


def test_first_columns_hold_something(table: pd.DataFrame) -> None:
    table["condition"] = ""
    table["group"] = pd.array([pd.NA] * 4, dtype="Int64")
    assert first_columns(table) == ["label", "type", "min_feret_um", "n_nuclei", "is_atrophic"]
