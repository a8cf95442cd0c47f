from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from biopsy_ai import RESEARCH_USE_ONLY
from napari_plugin.fiber_table import FiberTable, dock_of, show_table
from napari_plugin.section import OpenSection, open_results, sections_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

pytestmark = pytest.mark.gui


@pytest.fixture
def table(model: ViewerModel, opened: OpenSection, qtbot: Any) -> FiberTable:
    widget = FiberTable(model)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def selected(table: FiberTable) -> list[int]:
    rows = sorted(index.row() for index in table.view.selectionModel().selectedRows())
    return sorted(table.model.labels_at(rows).tolist())


def shown(table: FiberTable) -> list[int]:
    return table.model.labels_at(range(table.model.rowCount())).tolist()


def test_every_fiber_has_a_row(table: FiberTable) -> None:
    assert shown(table) == list(range(1, 13))
    assert table.model.columns[:3] == ("label", "type", "min_feret_um")
    assert table.state.text() == "12 fibers, 0 selected"
    texts = [label.text() for label in table.findChildren(type(table.state))]
    assert RESEARCH_USE_ONLY in texts


def test_selected_rows_are_gone_to(
    table: FiberTable, opened: OpenSection, model: ViewerModel
) -> None:
    table.view.selectRow(10)
    assert opened.selection.tolist() == [11]
    np.testing.assert_allclose(model.scene.camera.center[-2:], (60, 60), atol=0.3)
    assert table.state.text() == "12 fibers, 1 selected"
    table.view.selectAll()
    assert opened.selection.tolist() == list(range(1, 13))


def test_a_selection_in_the_picture_selects_rows(
    table: FiberTable, opened: OpenSection, model: ViewerModel
) -> None:
    center = model.scene.camera.center
    opened.select([12, 4])
    assert selected(table) == [4, 12]
    assert model.scene.camera.center == center, "the view stays where the user clicked"
    assert table.state.text() == "12 fibers, 2 selected"
    opened.select([12])
    table.resize(600, 160)
    opened.select([3])
    opened.select([12])
    area = table.view.visualRect(table.model.index(11, 0))
    assert table.view.viewport().rect().contains(area.center())
    opened.select([])
    assert selected(table) == []


def test_sorted_rows_keep_their_fibers(table: FiberTable, opened: OpenSection) -> None:
    opened.select([2, 7])
    table.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert shown(table)[0] % 2 == 0, "type II comes first"
    assert selected(table) == [2, 7]
    assert opened.selection.tolist() == [2, 7]


def test_filter(table: FiberTable, opened: OpenSection) -> None:
    opened.select([2, 3])
    table.filter.setText('type == "II" and label > 3')
    table.apply_filter()
    assert shown(table) == [4, 6, 8, 10, 12]
    assert table.state.text() == "5 of 12 fibers, 2 selected"
    assert opened.selection.tolist() == [2, 3], "what is hidden stays selected"
    table.select_button.click()
    assert opened.selection.tolist() == [4, 6, 8, 10, 12]
    table.filter.setText("type == II")
    table.apply_filter()
    assert 'quotes: "II"' in table.problem.text()
    assert len(shown(table)) == 5, "what was shown stays"
    table.filter.clear()
    table.apply_filter()
    assert table.problem.text() == ""
    assert len(shown(table)) == 12


def test_filter_is_followed_while_typing(table: FiberTable, qtbot: Any) -> None:
    qtbot.keyClicks(table.filter, "label < 4")
    qtbot.waitUntil(lambda: shown(table) == [1, 2, 3])


def test_edits(table: FiberTable, opened: OpenSection) -> None:
    place = table.model.columns.index("type")
    opened.apply(lambda review: review.set_type([1], "IIA"))
    assert table.model.data(table.model.index(0, place)) == "IIA"
    opened.select([6])
    opened.apply(lambda review: review.delete([5]))
    assert 5 not in shown(table)
    assert table.state.text() == "11 fibers, 0 selected"
    opened.apply(lambda review: review.undo())
    assert shown(table) == list(range(1, 13))
    assert selected(table) == [5]


def test_columns(table: FiberTable, opened: OpenSection) -> None:
    opened.select([4])
    table._fill_menu()
    actions = {action.data(): action for action in table._menu.actions()}
    assert actions["type"].isChecked()
    actions["solidity"].trigger()
    actions["type"].trigger()
    assert "solidity" in table.model.columns
    assert "type" not in table.model.columns
    assert selected(table) == [4]


def test_sections_change(
    table: FiberTable, opened: OpenSection, model: ViewerModel, results: Path
) -> None:
    other = open_results(model, shutil.copytree(results, results.parent / "other"))
    other.apply(lambda review: review.delete([1, 2]))
    assert shown(table) == list(range(3, 13))
    opened.select([3])
    assert selected(table) == []
    other.close()
    assert shown(table) == list(range(1, 13))
    assert selected(table) == [3]
    opened.close()
    assert shown(table) == []
    assert "Open results" in table.state.text()
    assert not table.filter.isEnabled()


def test_in_the_window(results: Path, make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    open_results(viewer, results)
    _, table = viewer.window.add_plugin_dock_widget("biopsy-ai", "Table of fibers")
    assert isinstance(table, FiberTable)
    window = viewer.window._qt_window
    below = Qt.DockWidgetArea.BottomDockWidgetArea
    qtbot.waitUntil(lambda: window.dockWidgetArea(dock_of(table)) == below)
    show_table(viewer)
    tables = [w for w in viewer.window.dock_widgets.values() if isinstance(w, FiberTable)]
    assert tables == [table], "it opens once"
    table.view.selectRow(7)
    section = sections_of(viewer).active
    assert section is not None
    assert section.selection.tolist() == [8]
    section.close()


def test_a_closed_table_is_told_nothing(
    opened: OpenSection, model: ViewerModel, qtbot: Any
) -> None:
    from qtpy.compat import isalive

    table = FiberTable(model)
    table.show()
    table.deleteLater()
    qtbot.waitUntil(lambda: not isalive(table))
    opened.select([3])
    opened.apply(lambda review: review.delete([3]))
    opened.close()
