"""The fiber table as Qt shows it: straight from the data frame, sorted and filtered by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, Qt

from napari_plugin.column_names import column_title

SHOWN = (
    "label",
    "type",
    "min_feret_um",
    "area_um2",
    "circularity",
    "angularity",
    "n_nuclei",
    "n_internal_nuclei",
    "condition",
    "is_atrophic",
    "group",
    "atrophy_cluster",
    "confidence",
    "excluded",
)
"""Columns that are shown at first, where they hold anything."""

DIGITS = 4
"""Significant digits of a number."""

NOTHING = "–"
"""What is not known."""


class FiberTableModel(QAbstractTableModel):
    """Rows and columns of a data frame, in an order and a choice of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._table = pd.DataFrame({"label": np.empty(0, np.int64)})
        self._labels: NDArray[np.int64] = np.empty(0, np.int64)
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._place: NDArray[np.intp] = np.empty(0, np.intp)
        self._picked: NDArray[np.bool_] = np.empty(0, bool)
        self._columns: list[str] = []
        self._values: dict[str, Any] = {}
        self._sorted_by: tuple[str, bool] = ("label", True)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are shown."""
        return tuple(self._columns)

    @property
    def table(self) -> pd.DataFrame:
        """What is shown."""
        return self._table

    def show_table(self, table: pd.DataFrame, columns: Sequence[str] | None = None) -> None:
        """Show a table with these columns, or those that were shown; all rows are picked."""
        self.beginResetModel()
        self._table = table
        self._labels = table["label"].to_numpy(np.int64)
        wanted = list(columns) if columns is not None else self._columns
        self._columns = [name for name in wanted if name in table] or ["label"]
        self._values = {}
        self._picked = np.ones(len(table), bool)
        self._arrange()
        self.endResetModel()

    def show_columns(self, columns: Sequence[str]) -> None:
        """Show other columns."""
        self.beginResetModel()
        self._columns = [name for name in columns if name in self._table] or ["label"]
        self.endResetModel()

    def pick(self, picked: NDArray[np.bool_]) -> None:
        """Show only some rows of the table."""
        self.beginResetModel()
        self._picked = np.asarray(picked, bool)
        self._arrange()
        self.endResetModel()

    def labels_at(self, rows: Any) -> NDArray[np.int64]:
        """Labels of the fibers in some rows, as they are shown."""
        return self._labels[self._order[np.asarray(rows, np.intp)]]

    def rows_of(self, labels: Any) -> NDArray[np.intp]:
        """Rows where some fibers are shown; those that are not picked are left out."""
        wanted = np.asarray(labels, np.int64)
        at = np.searchsorted(self._labels, wanted)
        at = at[at < len(self._labels)]
        at = at[np.isin(self._labels[at], wanted)]
        rows = self._place[at]
        return rows[rows >= 0]

    def _arrange(self) -> None:
        """Put the picked rows in order."""
        name, rising = self._sorted_by
        if name not in self._table:
            name = "label"
        column = self._table[name]
        if not pd.api.types.is_numeric_dtype(column.dtype):
            column = column.astype(object).where(column.notna() & (column != ""), None)
        # what is not known comes last either way
        order = column.reset_index(drop=True).sort_values(
            ascending=rising, kind="stable", na_position="last"
        )
        rows = order.index.to_numpy(np.intp)
        self._order = rows[self._picked[rows]]
        self._place = np.full(len(self._table), -1, np.intp)
        self._place[self._order] = np.arange(len(self._order))

    # as Qt asks

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        name = self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole or role == Qt.ItemDataRole.ToolTipRole:
            text = in_words(self._cells(name)[self._order[index.row()]])
            return text if role == Qt.ItemDataRole.DisplayRole or len(text) > 12 else None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            numeric = pd.api.types.is_numeric_dtype(self._table[name].dtype)
            side = Qt.AlignmentFlag.AlignRight if numeric else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return column_title(self._columns[section])
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{self._columns[section]}\nA click sorts by it; by this name filters know it."
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        if not 0 <= column < len(self._columns):
            return
        # to tell where every selected cell went takes far longer than to select rows anew
        self.beginResetModel()
        self._sorted_by = (self._columns[column], order == Qt.SortOrder.AscendingOrder)
        self._arrange()
        self.endResetModel()

    def _cells(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self._table[name].array
        return self._values[name]


def in_words(value: Any) -> str:
    """Write one value of the table."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return NOTHING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        if number.is_integer() or abs(number) >= 10**DIGITS:
            return f"{number:,.0f}"
        return f"{number:.{DIGITS}g}"
    return str(value)


def first_columns(table: pd.DataFrame) -> list[str]:
    """Columns to begin with: the usual ones of which anything is known."""
    names = []
    for name in SHOWN:
        if name not in table:
            continue
        column = table[name]
        known = column.notna() & (column.astype(object) != "")
        if known.any():
            names.append(name)
    return names
