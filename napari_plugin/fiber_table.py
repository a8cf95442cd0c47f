"""The table of fibers below the picture, linked both ways with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QItemSelection, QItemSelectionModel, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai import RESEARCH_USE_ONLY
from napari_plugin.column_names import column_title
from napari_plugin.following import Following
from napari_plugin.section import OpenSection, sections_of
from napari_plugin.table_filter import EXAMPLE, FilterError, filter_rows
from napari_plugin.table_model import FiberTableModel, first_columns

if TYPE_CHECKING:
    from napari.viewer import Viewer

NO_SECTION = "Open results to see their fibers: drop their folder on the window."

HOW_TO_FILTER = (
    f"Shows only the fibers for which this is true, for example {EXAMPLE}.\n"
    "Columns have the names that their headers tell under the mouse. Compare with <, <=, >, >=, "
    '== and !=, join with and, or, not; also type in ["I", "IIA"] and isna(n_nuclei).'
)

TABLE_NAME = "Table of fibers"

WAIT_MS = 250
"""After so long without a key the filter is followed."""


class FiberTable(QWidget):
    """One row per fiber of the section in front: sort, filter, select, and go there."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._sections = sections_of(napari_viewer)
        self._section: OpenSection | None = None
        self._following = Following(self)
        self._busy = False
        self._placed = False
        self.model = FiberTableModel()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(f"Filter: {EXAMPLE}")
        self.filter.setToolTip(HOW_TO_FILTER)
        self.filter.setClearButtonEnabled(True)
        self.filter.setMinimumWidth(220)
        self.columns = QPushButton("&Columns")
        self.columns.setToolTip("Which columns are shown")
        self._menu = QMenu(self.columns)
        self.columns.setMenu(self._menu)
        self.select_button = QPushButton("Select &all shown")
        self.select_button.setToolTip("Select all fibers that the filter shows")
        self.state = QLabel()
        self.problem = QLabel()
        self.problem.setStyleSheet("color: #ff8f70")
        self.problem.setWordWrap(True)
        self.view = self._make_view()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._lay_out()
        self._timer.timeout.connect(self.apply_filter)
        self.filter.textChanged.connect(self._on_text)
        self.filter.returnPressed.connect(self.apply_filter)
        self.select_button.clicked.connect(self._on_select_all)
        self.view.selectionModel().selectionChanged.connect(self._on_rows)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.model.modelReset.connect(self._on_reset)
        self._following.follow((self._sections.active_changed, self._on_active))
        self._on_active()

    def sizeHint(self) -> QSize:
        return QSize(300, 230)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Lie below the picture, where rows have room, when first shown."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            # napari is about to put the dock to the right
            QTimer.singleShot(0, self._go_below)

    def _go_below(self) -> None:
        dock = dock_of(self)
        window = None if dock is None else dock.parentWidget()
        if dock is not None and isinstance(window, QMainWindow):
            below = Qt.DockWidgetArea.BottomDockWidgetArea
            if window.dockWidgetArea(dock) != below:
                window.addDockWidget(below, dock)
            window.resizeDocks([dock], [self.sizeHint().height()], Qt.Orientation.Vertical)

    def _make_view(self) -> QTableView:
        view = QTableView()
        view.setModel(self.model)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setSortingEnabled(True)
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.setWordWrap(False)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(22)
        view.horizontalHeader().setHighlightSections(False)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        return view

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.addWidget(self.filter, stretch=2)
        line.addWidget(self.columns)
        line.addWidget(self.select_button)
        line.addWidget(self.state, stretch=1)
        notice = QLabel(RESEARCH_USE_ONLY)
        notice.setAlignment(Qt.AlignmentFlag.AlignRight)
        foot = QHBoxLayout()
        foot.addWidget(self.problem, stretch=1)
        foot.addWidget(notice)
        layout = QVBoxLayout(self)
        # opened at a side first, it must not make that wide
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addLayout(line)
        layout.addWidget(self.view, stretch=1)
        layout.addLayout(foot)

    # the section

    def _on_active(self, *_: Any) -> None:
        old, self._section = self._section, self._sections.active
        if old is not None:
            self._following.leave(*self._slots(old))
        section = self._section
        for part in (self.filter, self.columns, self.select_button):
            part.setEnabled(section is not None)
        if section is None:
            self.model.show_table(self.model.table.iloc[:0])
            self._tell()
            return
        self._following.follow(*self._slots(section))
        table = section.review.table
        self.model.show_table(table, first_columns(table))
        self._fit_columns()
        self.apply_filter()

    def _slots(self, section: OpenSection) -> tuple[tuple[Any, Any], ...]:
        return (
            (section.selection_changed, self._on_selection),
            (section.fibers_changed, self._on_fibers),
            (section.scores_changed, self._on_fibers),
        )

    def _on_fibers(self, *_: Any) -> None:
        """Show the table as it is after an edit, where it was scrolled to."""
        if self._section is None:
            return
        top = self.view.verticalScrollBar().value()
        self._busy = True
        try:
            self.model.show_table(self._section.review.table)
            self.apply_filter()
        finally:
            self._busy = False
        self.view.verticalScrollBar().setValue(top)

    def _fit_columns(self) -> None:
        """Make the columns as wide as their titles and first values need."""
        metrics = self.view.fontMetrics()
        for place, name in enumerate(self.model.columns):
            title = metrics.horizontalAdvance(column_title(name)) + 30
            cells = [
                self.model.data(self.model.index(row, place)) or ""
                for row in range(min(self.model.rowCount(), 40))
            ]
            widest = max((metrics.horizontalAdvance(text) for text in cells), default=0) + 16
            self.view.setColumnWidth(place, int(min(max(title, widest), 220)))

    # the filter

    def _on_text(self, *_: Any) -> None:
        self._timer.start()

    def apply_filter(self) -> None:
        """Show the rows that the filter picks; where it cannot be followed, say why."""
        self._timer.stop()
        if self._section is None:
            return
        try:
            picked = filter_rows(self.filter.text(), self.model.table)
        except FilterError as error:
            self.problem.setText(str(error))
            return
        self.problem.setText("")
        self.model.pick(picked)
        self._tell()

    def _tell(self) -> None:
        if self._section is None:
            self.state.setText(NO_SECTION)
            return
        shown, total = self.model.rowCount(), len(self.model.table)
        chosen = len(self._section.selection)
        of = f"{shown:,} of {total:,} fibers" if shown < total else f"{total:,} fibers"
        self.state.setText(f"{of}, {chosen:,} selected")

    def _on_select_all(self, *_: Any) -> None:
        if self._section is not None:
            every = np.arange(self.model.rowCount())
            self._section.select(self.model.labels_at(every))

    # rows and picture

    def _on_rows(self, *_: Any) -> None:
        """Select in the picture what was selected here, and go there."""
        if self._busy or self._section is None:
            return
        rows = selected_rows(self.view.selectionModel().selection())
        labels = self.model.labels_at(rows)
        self._busy = True
        try:
            self._section.select(labels, go_there=True)
        finally:
            self._busy = False
        self._tell()

    def _on_selection(self, labels: NDArray[np.int64], *_: Any) -> None:
        """Select here what was selected in the picture, and scroll to it."""
        if self._busy:
            return
        self._mark(labels)
        rows = self.model.rows_of(labels)
        if len(rows):
            self.view.scrollTo(self.model.index(int(rows.min()), 0))
        self._tell()

    def _on_reset(self) -> None:
        if self._section is not None:
            self._mark(self._section.selection)

    def _mark(self, labels: NDArray[np.int64]) -> None:
        chosen = row_selection(self.model, self.model.rows_of(labels))
        was, self._busy = self._busy, True
        try:
            flags = QItemSelectionModel.SelectionFlag
            self.view.selectionModel().select(chosen, flags.ClearAndSelect | flags.Rows)
        finally:
            self._busy = was

    # columns

    def _fill_menu(self) -> None:
        self._menu.clear()
        for name in self.model.table.columns:
            action = self._menu.addAction(column_title(str(name)))
            action.setToolTip(str(name))
            action.setCheckable(True)
            action.setChecked(name in self.model.columns)
            action.setData(str(name))
            action.toggled.connect(self._on_column)

    def _on_column(self, *_: Any) -> None:
        chosen = [a.data() for a in self._menu.actions() if a.isChecked()]
        first = [name for name in self.model.columns if name in chosen]
        self.model.show_columns([*first, *(name for name in chosen if name not in first)])
        self._fit_columns()


def show_table(viewer: Viewer) -> None:
    """Open the table of fibers below the picture, or bring it to the front where it is open."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, FiberTable):
            dock = dock_of(widget)
            if dock is not None:
                dock.show()
                dock.raise_()
            return
    viewer.window.add_dock_widget(FiberTable(viewer), name=TABLE_NAME, area="bottom")


def dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget lies in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def selected_rows(selection: Any) -> NDArray[np.intp]:
    """Rows of a selection of whole rows, ascending."""
    ranges = [np.arange(each.top(), each.bottom() + 1) for each in selection]
    return np.unique(np.concatenate(ranges)) if ranges else np.empty(0, np.intp)


def row_selection(model: FiberTableModel, rows: NDArray[np.intp]) -> QItemSelection:
    """A selection of whole rows, of few ranges."""
    selection = QItemSelection()
    if len(rows):
        ordered = np.sort(rows)
        last = model.columnCount() - 1
        for part in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
            selection.select(model.index(int(part[0]), 0), model.index(int(part[-1]), last))
    return selection
