"""A small table: the old and the new model on the same slides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)

SETS = {"held_out": "Held-out slides", "samples": "Synthetic samples"}
"""Sets of slides that models are compared on, by their names in the event ``model``."""

ROWS = {"old": "Old", "new": "New", "gain": "Change"}


class ComparisonTable(QTableWidget):
    """F1 of either model, a column for each set of slides; as high as its rows."""

    def __init__(self) -> None:
        super().__init__(len(ROWS), 0)
        self.setVerticalHeaderLabels(list(ROWS.values()))
        self.setAccessibleName("F1 of the old and the new model, with 95 % intervals")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        across = self.horizontalHeader()
        assert across is not None
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setVisible(False)

    def clear_columns(self) -> None:
        """Show nothing."""
        self.setColumnCount(0)
        self.setVisible(False)

    def show_event(self, event: Mapping[str, Any]) -> None:
        """Show what the event ``model`` tells."""
        found = [(title, event[key]) for key, title in SETS.items() if event.get(key) is not None]
        self.setColumnCount(len(found))
        titles = []
        for column, (title, one) in enumerate(found):
            slides = "1 slide" if one["n_slides"] == 1 else f"{one['n_slides']} slides"
            titles.append(f"{title}\n{slides}, {one['n_fibers']:,} fibers")
            for row, name in enumerate(ROWS):
                item = QTableWidgetItem(in_words(one[name], signed=name == "gain"))
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setToolTip("F1 at IoU 0.5, and its 95 % interval over slides or patients")
                self.setItem(row, column, item)
        self.setHorizontalHeaderLabels(titles)
        self.setVisible(bool(found))
        self.resizeRowsToContents()
        self.updateGeometry()

    def texts(self) -> list[list[str]]:
        """Titles and cells of each column."""
        columns = []
        for column in range(self.columnCount()):
            title = self.horizontalHeaderItem(column)
            cells = [title, *(self.item(row, column) for row in range(self.rowCount()))]
            columns.append(["" if cell is None else cell.text() for cell in cells])
        return columns

    def sizeHint(self) -> QSize:
        across = self.horizontalHeader()
        head = across.sizeHint().height() if across is not None else 0
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        return QSize(340, head + rows + 2 * self.frameWidth())

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.sizeHint().height())

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.resizeRowsToContents()
        self.updateGeometry()


def in_words(interval: Mapping[str, float | None], *, signed: bool = False) -> str:
    """A value and below it its interval, where there is one."""
    form = "+.3f" if signed else ".3f"
    value, low, high = (interval.get(key) for key in ("f1", "low", "high"))
    if value is None:
        return "–"
    if low is None or high is None:
        return format(value, form)
    return f"{value:{form}}\n{low:{form}} to {high:{form}}"
