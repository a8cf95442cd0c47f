from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_plugin.coloring import known_colorings
from napari_plugin.fibers_widget import FibersWidget
from napari_plugin.section import OpenSection

if TYPE_CHECKING:
    from napari.components import ViewerModel

pytestmark = pytest.mark.gui


@pytest.fixture
def widget(model: ViewerModel, opened: OpenSection, qtbot: Any) -> FibersWidget:
    found = FibersWidget(model)
    qtbot.addWidget(found)
    found.show()
    return found


def choose(widget: FibersWidget, key: str) -> None:
    widget.color_by.setCurrentIndex(widget.color_by.findData(key))


def test_colors_follow_the_list(widget: FibersWidget, opened: OpenSection) -> None:
    assert widget.color_by.currentText() == "type"
    assert widget.legend.entries == ["I (6)", "II (6)"]
    choose(widget, "condition")
    assert opened.coloring.key == "condition"
    assert "necrotic (3)" in widget.legend.entries
    choose(widget, "min_feret_um")
    assert widget.legend.scale.isVisible()
    assert opened.layers["fibers"].colormap.map(1)[3] == 1


def test_the_list_follows_the_colors(widget: FibersWidget, opened: OpenSection) -> None:
    opened.color_by("excluded")
    assert widget.color_by.currentData() == "excluded"
    opened.color_by("type")
    opened.apply(lambda review: review.set_type([1, 3, 5], "II"))
    assert widget.legend.entries == ["I (3)", "II (9)"]


def test_only_what_is_known_is_offered(widget: FibersWidget, opened: OpenSection) -> None:
    keys = [widget.color_by.itemData(i) for i in range(widget.color_by.count())]
    assert keys == known_colorings(opened.review.table)
    assert "corrected" not in keys


def test_outlines(widget: FibersWidget, opened: OpenSection) -> None:
    widget.outlines.setChecked(True)
    assert opened.outlined
    opened.outlined = False
    assert not widget.outlines.isChecked()


def test_histogram(widget: FibersWidget, opened: OpenSection) -> None:
    assert widget.measure.currentData() == "min_feret_um"
    bars = widget.histogram.bars
    assert bars is not None
    kept = opened.review.table["excluded"] == ""
    assert len(bars.values) == int(kept.sum())
    assert widget.counted.text().startswith(f"{len(bars.values)} fibers")
    assert "Shaded: healthy, 40–80 µm" in widget.bands.text()
    widget.histogram.brush(bars.edges[0], bars.edges[-1])
    assert opened.selection.tolist() == np.sort(bars.labels).tolist()
    widget.measure.setCurrentIndex(widget.measure.findData("circularity"))
    assert not widget.bands.isVisible()
    assert widget.histogram.bars is not bars


def test_histogram_follows_edits(widget: FibersWidget, opened: OpenSection) -> None:
    before = widget.histogram.bars
    assert before is not None
    label = int(before.labels[0])
    opened.apply(lambda review: review.exclude([label], "crushed"))
    after = widget.histogram.bars
    assert after is not None
    assert label not in after.labels


def test_without_section(widget: FibersWidget, opened: OpenSection) -> None:
    assert not widget.nothing.isVisible()
    opened.close()
    assert widget.nothing.isVisible()
    assert not widget.color_by.isVisible()
    assert widget.histogram.bars is None


def test_in_the_window(results: Path, make_napari_viewer: Any, qtbot: Any) -> None:
    """Fibers have the color of the legend on the screen."""
    from napari_plugin.fiber_table import FiberTable
    from napari_plugin.section import open_results

    viewer = make_napari_viewer(show=True)
    widget = FibersWidget(viewer)
    viewer.window.add_dock_widget(widget, area="right")
    section = open_results(viewer, results)
    section.layers["fibers"].opacity = 1.0
    for layer in (section.layers["image"], section.layers["selection"]):
        layer.visible = False
    for key in ("type", "min_feret_um", "condition"):
        choose(widget, key)
        section.outlined = False
        section.layers["fibers"].opacity = 1.0
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].reshape(-1, 3)
        shown = {tuple(color) for color in np.unique(picture, axis=0).tolist()}
        wanted = section.coloring.palette[np.unique(section.coloring.index)]
        for color in wanted.tolist():
            assert any(np.abs(np.subtract(color, other)).max() <= 2 for other in shown), key
    widget.table_button.click()
    assert any(isinstance(w, FiberTable) for w in viewer.window.dock_widgets.values())
    section.close()
