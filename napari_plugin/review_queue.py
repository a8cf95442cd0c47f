"""The list of doubtful fibers, the most doubtful first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

TITLES = ("Fiber", "Doubt", "Why")
NAVIGATION = (
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
    Qt.Key.Key_Tab,
    Qt.Key.Key_Backtab,
)
"""Keys that move in the list; all others are those of the review."""


class QueueModel(QAbstractTableModel):
    """Rows of `biopsy_ai.review.Review.queue` as Qt reads them."""

    def __init__(self, queue: pd.DataFrame | None = None) -> None:
        super().__init__()
        self.queue = _EMPTY if queue is None else queue

    def replace(self, queue: pd.DataFrame) -> None:
        """Show another queue."""
        self.beginResetModel()
        self.queue = queue
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.queue)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(TITLES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = self.queue.iloc[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            texts = (str(int(row["label"])), f"{row['doubt']:.2f}", str(row["reason"]))
            return texts[2] if role == Qt.ItemDataRole.ToolTipRole else texts[column]
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return TITLES[section]


class QueueView(QTableView):
    """The queue as a list; ``chosen`` tells the label of the row that the user goes to."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = QueueModel()
        self.setModel(self.rows)
        self.setAccessibleName("Doubtful fibers")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(0, self.fontMetrics().horizontalAdvance("0" * 7))
        header.resizeSection(1, self.fontMetrics().horizontalAdvance("Doubt") + 20)
        header.setStretchLastSection(True)
        self._quiet = False
        self.selectionModel().currentRowChanged.connect(self._on_row)

    @property
    def current_label(self) -> int:
        """Label of the row that is selected, 0 for none."""
        row = self.currentIndex().row()
        return int(self.rows.queue["label"].iloc[row]) if row >= 0 else 0

    def show_queue(self, queue: pd.DataFrame) -> None:
        """Show another queue, at the same fiber where it is still there; nothing is chosen."""
        kept, self._quiet = self.current_label, True
        self.rows.replace(queue)
        self.mark(kept)
        self._quiet = False

    def mark(self, label: int) -> None:
        """Select the row of a fiber without choosing it; none where it is not in the queue."""
        found = np.flatnonzero(self.rows.queue["label"].to_numpy() == label)
        quiet, self._quiet = self._quiet, True
        if len(found):
            self.setCurrentIndex(self.rows.index(int(found[0]), 0))
        else:
            self.clearSelection()
            self.selectionModel().clearCurrentIndex()
        self._quiet = quiet

    def step(self, by: int) -> None:
        """Go on in the queue, or back; from the start where no row is selected."""
        row = self.currentIndex().row()
        wanted = max(row + by, 0) if row >= 0 else 0
        if self.rows.rowCount():
            self.go_to_row(min(wanted, self.rows.rowCount() - 1))

    def go_to_row(self, row: int) -> None:
        """Choose a row."""
        index = self.rows.index(row, 0)
        if index == self.currentIndex():
            self._on_row(index)
        else:
            self.setCurrentIndex(index)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move in the list; leave all other keys to the review."""
        if event is not None and event.key() in NAVIGATION:
            super().keyPressEvent(event)
        elif event is not None:
            event.ignore()

    def _on_row(self, index: QModelIndex, *_: Any) -> None:
        if not self._quiet and index.isValid():
            self.chosen.emit(int(self.rows.queue["label"].iloc[index.row()]))


_EMPTY = pd.DataFrame(
    {"label": np.zeros(0, int), "doubt": np.zeros(0), "reason": np.zeros(0, dtype=object)}
)
