"""Analyzing a slide in the window, in a real process beside it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from biopsy_ai import sample_slides
from napari_plugin.analyze_widget import NO_PIXEL_SIZE, NO_SLIDE, AnalyzeWidget
from napari_plugin.section import sections_of

pytestmark = pytest.mark.gui

END_MS = 100_000
SIDE_PX = 700


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    return viewer


@pytest.fixture
def widget(viewer: Any, qtbot: Any) -> AnalyzeWidget:
    widget = AnalyzeWidget(viewer)
    dock = viewer.window.add_dock_widget(widget, name="Analyze", area="right")
    widget.setFixedWidth(380)
    qtbot.waitUntil(dock.isVisible)
    return widget


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    """A corner of a sample slide, as a user's own file."""
    (sample,) = (path for path in sample_slides() if path.stem == "normal_he")
    pixels = tifffile.imread(sample)[:SIDE_PX, :SIDE_PX]
    path = tmp_path / "slides" / "crop.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    return path


def open_slide_of(viewer: Any, path: Path) -> None:
    viewer.open(str(path), plugin="biopsy-ai")


def wait_for_the_end(widget: AnalyzeWidget, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.job is None, timeout=END_MS)


def shown_widgets(widget: AnalyzeWidget) -> list[Any]:
    """What the tabulator reaches, in order, up to the button that starts."""
    from qtpy.QtCore import Qt

    found, at = [widget.section], widget.section
    while at is not widget.run_button:
        at = at.nextInFocusChain()
        if at.isVisible() and at.focusPolicy() & Qt.TabFocus:
            found.append(at)
    return found


def test_without_a_slide_it_says_what_to_do(widget: AnalyzeWidget) -> None:
    assert widget.slide is None
    assert widget.reason.text() == NO_SLIDE
    assert widget.reason.isVisible()
    assert not widget.run_button.isEnabled()


def test_a_sample_brings_its_stain(viewer: Any, widget: AnalyzeWidget) -> None:
    viewer.open_sample("biopsy-ai", "type2_atrophy_atpase")
    assert widget.section.currentText() == "type2_atrophy_atpase.tif"
    assert widget.stain.currentText() == "ATPase pH 9.4"
    assert widget.pixel_size.text() == "0.5"
    assert widget.folder.text() == str(Path.home() / "biopsy-ai" / "results")
    assert widget.run_button.isEnabled()
    viewer.open_sample("biopsy-ai", "normal_he")
    assert widget.stain.currentText() == "H&E"


def test_slides_come_and_go(viewer: Any, widget: AnalyzeWidget, crop: Path, tmp_path: Path) -> None:
    open_slide_of(viewer, crop)
    assert widget.folder.text() == str(crop.parent / "results")
    other = tmp_path / "other.tif"
    other.write_bytes(crop.read_bytes())
    open_slide_of(viewer, other)
    assert [widget.section.itemText(k) for k in range(2)] == ["crop.tif", "other.tif"]
    assert widget.section.currentText() == "other.tif"
    widget.choose_stain("he")
    viewer.layers.selection.active = viewer.layers["crop"]
    assert widget.section.currentText() == "crop.tif"
    assert widget.chosen_stain == "auto"
    viewer.layers.remove(viewer.layers["crop"])
    assert widget.section.currentText() == "other.tif"
    viewer.layers.clear()
    assert widget.reason.text() == NO_SLIDE


def test_a_pixel_size_must_be_stated(viewer: Any, widget: AnalyzeWidget, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((80, 100, 3), 200, np.uint8))
    open_slide_of(viewer, path)
    assert widget.reason.text() == NO_PIXEL_SIZE
    assert not widget.run_button.isEnabled()
    widget.pixel_size.setText("0,5")
    assert "not plausible" in widget.reason.text()
    widget.pixel_size.setText("0.5")
    assert not widget.reason.isVisible()
    assert widget.run_button.isEnabled()
    assert widget._choices().mpp == (0.5, 0.5)


def test_channels_are_asked_for_where_there_are_some(
    viewer: Any, widget: AnalyzeWidget, crop: Path, tmp_path: Path
) -> None:
    path = tmp_path / "if.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 200, (3, 100, 120)).astype(np.uint16)
    names = {"Channel": {"Name": ["DAPI", "488", "MHC I"]}}
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CYX", **names, **size})
    open_slide_of(viewer, path)
    assert widget.channels.isVisible()
    assert widget.channels.roles == ["nuclei", "", "I"]
    assert widget.reason.text() == "Say which channel shows the fiber border."
    widget.channels.combos[1].setCurrentText("fiber border")
    assert widget.run_button.isEnabled()
    assert widget._choices().channels == {"nuclei": 0, "border": 1, "I": 2}
    assert widget.minimumSizeHint().width() <= 380
    reached = shown_widgets(widget)
    rows = [reached.index(combo) for combo in widget.channels.combos]
    assert rows == list(range(3, 6))
    open_slide_of(viewer, crop)
    assert not widget.channels.isVisible()
    assert widget._choices().channels == {}
    widget.choose_stain("if")
    assert widget.channels.isVisible()


def test_the_keyboard_reaches_everything(viewer: Any, widget: AnalyzeWidget, crop: Path) -> None:
    open_slide_of(viewer, crop)
    reached = shown_widgets(widget)
    wanted = [
        *(widget.section, widget.stain, widget.pixel_size, widget.region, widget.draw),
        *(widget.muscle, widget.side, widget.age, widget.sex),
        *(widget.model, widget.folder, widget.choose_folder, widget.run_button),
    ]
    places = [reached.index(each) for each in wanted]
    assert all(one < following for one, following in pairwise(places))
    for each in wanted:
        assert each.toolTip()
        assert each.width() >= each.minimumSizeHint().width()
    assert widget.minimumSizeHint().width() <= 380


def test_mnemonics_are_told_apart(viewer: Any, widget: AnalyzeWidget) -> None:
    from qtpy.QtWidgets import QLabel, QPushButton

    labels = [each for each in widget.findChildren(QLabel) if each.buddy() is not None]
    texts = [each.text() for each in (*labels, *widget.findChildren(QPushButton))]
    titles = [action.text() for action in viewer.window._qt_window.menuBar().actions()]
    letters = [text[text.index("&") + 1].lower() for text in [*texts, *titles] if "&" in text]
    assert len(letters) == len(set(letters)), sorted(letters)
    fields = {
        *(widget.section, widget.stain, widget.pixel_size, widget.region, widget.muscle),
        *(widget.side, widget.age, widget.sex, widget.model, widget.views, widget.folder),
    }
    assert {each.buddy() for each in labels} == fields


@pytest.mark.slow
def test_a_region_of_a_slide_is_analyzed(
    viewer: Any, widget: AnalyzeWidget, crop: Path, qtbot: Any
) -> None:
    open_slide_of(viewer, crop)
    image = viewer.layers["crop"]
    widget.choose_stain("he")
    widget.muscle.setEditText("vastus lateralis")
    widget.age.setValue(54)
    widget.draw_region()
    assert widget.chosen_region == "region"
    widget.run()
    assert 'Nothing is drawn in the layer "region" yet.' in widget.problem.text
    assert widget.problem.isVisible()
    assert widget.job is None
    viewer.layers["region"].add_polygons([[(0, 0), (0, 250), (350, 250), (350, 0)]])

    stages: list[str] = []
    widget.run()
    assert not widget.problem.isVisible()
    assert widget.cancel_button.isEnabled()
    assert widget.bar.isVisible()
    assert not widget.run_button.isEnabled()
    widget.job.progressed.connect(lambda *_: stages.append(widget.stage.text()))  # type: ignore[union-attr]
    wait_for_the_end(widget, qtbot)
    assert not widget.problem.isVisible(), widget.problem.text
    measuring = "Measuring fibers and what lies around"
    assert {"Outlining fibers", measuring, "Writing results"} <= set(stages)

    folder = crop.parent / "results" / "crop"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    settings = summary["provenance"]["configuration"]
    assert (settings["muscle"], settings["age"], settings["stain"]) == (
        "vastus lateralis",
        54,
        "he",
    )
    np.testing.assert_allclose(settings["region"], [(0, 0), (0, 250), (350, 250), (350, 0)])
    section = sections_of(viewer).active
    assert section is not None
    assert Path(section.review.folder) == folder
    assert len(section.review.table) == summary["fibers"]["n_fibers"] > 5
    assert section.layers["fibers"] in viewer.layers
    # the picture that was there is used, and not doubled
    assert section.layers["image"] is image
    assert f"{len(section.review.table):,} fibers" in widget.done.text
    assert "Only a region of 0.0875 mm² was analyzed" in widget.done.text
    assert widget.run_button.isEnabled()
    assert not widget.bar.isVisible()
    # what is open stays as it is
    assert f"The section in {folder} is open" in widget.place.text
    assert widget._choices().out == crop.parent / "results-2"


def test_cancelled(viewer: Any, widget: AnalyzeWidget, crop: Path, qtbot: Any) -> None:
    open_slide_of(viewer, crop)
    layers = list(viewer.layers)
    widget.run()
    with qtbot.waitSignal(widget.job.progressed, timeout=END_MS):  # type: ignore[union-attr]
        pass
    widget.cancel()
    assert widget.stage.text() == "Stopping …"
    assert not widget.cancel_button.isEnabled()
    wait_for_the_end(widget, qtbot)
    assert "Stopped" in widget.done.text
    assert not widget.problem.isVisible()
    assert widget.run_button.isEnabled()
    assert list(viewer.layers) == layers
    out = crop.parent / "results"
    left = [path.name for path in out.rglob("*") if path.is_file()] if out.exists() else []
    assert not [name for name in left if ".part" in name or name == "summary.json"]


def test_an_error_is_shown_in_the_tab(
    viewer: Any, widget: AnalyzeWidget, crop: Path, qtbot: Any
) -> None:
    open_slide_of(viewer, crop)
    pixels = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    tifffile.imwrite(crop, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    widget.run()
    wait_for_the_end(widget, qtbot)
    assert "the image is blank, no tissue was found" in widget.problem.text
    assert widget.problem.isVisible()
    assert widget.problem.height() > widget.problem.fontMetrics().height() * 2
    assert widget.run_button.isEnabled()
    from qtpy.QtCore import Qt

    assert widget.problem.textInteractionFlags() & Qt.TextSelectableByMouse


def test_the_model_of_the_settings_is_offered(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_plugin import analyze_widget
    from napari_plugin.settings import Settings

    monkeypatch.setattr(analyze_widget, "read_settings", lambda: Settings(model="/models/mine"))
    widget = AnalyzeWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    assert widget.model.currentText() == "mine (own)"
    assert widget.chosen_facts()["model"] == "/models/mine"
    widget.model.setCurrentText("muscle (bundled)")
    widget.hide()
    widget.show()
    assert widget.chosen_facts()["model"] == "muscle"


def test_a_model_that_was_set_meanwhile_is_chosen(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_plugin import analyze_widget
    from napari_plugin.settings import Settings

    kept = ["muscle"]
    monkeypatch.setattr(analyze_widget, "read_settings", lambda: Settings(model=kept[-1]))
    widget = AnalyzeWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    assert widget.chosen_facts()["model"] == "muscle"
    widget.hide()
    kept.append("/models/mine")
    widget.show()
    assert widget.chosen_facts()["model"] == "/models/mine"
    # what is chosen by hand after that stays
    widget.model.setCurrentText("muscle (bundled)")
    widget.hide()
    widget.show()
    assert widget.chosen_facts()["model"] == "muscle"


def test_outlines_can_be_drawn_with_more_care(viewer: Any, qtbot: Any) -> None:
    widget = AnalyzeWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.chosen_facts()["views"] == ""
    widget.views.setCurrentText("Careful: four views")
    assert widget.chosen_facts()["views"] == "4"
