from __future__ import annotations

import gc
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest

from biopsy_ai.errors import BiopsyError, OutputError, ReviewError
from napari_plugin.section import OpenSection, click, open_results, sections_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

PITCH_UM, CENTER_UM = 24.0, 12.0


def place_of(label: int) -> tuple[float, float]:
    """Center of a drawn fiber, µm."""
    row, column = divmod(label - 1, 4)
    return CENTER_UM + PITCH_UM * row, CENTER_UM + PITCH_UM * column


def seen(section: OpenSection, key: str, label: int) -> int:
    """What a layer shows in the middle of a fiber."""
    value = section.layers[key].get_value(place_of(label), world=True)
    return int(value[1] if isinstance(value, tuple) else value)


def test_layers_of_the_results(opened: OpenSection, model: ViewerModel) -> None:
    assert list(opened.layers) == [
        "image",
        "tissue",
        "nuclei",
        "fascicles",
        "fibers",
        "groups",
        "clusters",
        "selection",
    ]
    shown = {key for key, layer in opened.layers.items() if layer.visible}
    assert shown == {"image", "fibers", "selection"}
    assert list(model.layers) == list(opened.layers.values())
    assert model.layers.selection.active is opened.layers["fibers"]
    assert model.canvas.overlays.scale_bar.visible
    for layer in opened.layers.values():
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
        corners = layer.extent.world + np.multiply([[-0.5], [0.5]], layer.scale)
        np.testing.assert_allclose(corners, [[0, 0], [72, 96]], atol=1.01)


def test_layers_say_what_they_show(opened: OpenSection, results: Path) -> None:
    noted = opened.layers["fibers"].metadata["biopsy_ai"]
    assert noted["folder"] == str(results)
    assert noted["shows"] == "fibers"
    assert noted["path"].endswith("section.tif")
    assert opened.layers["image"].metadata["biopsy_ai"]["path"] == noted["path"]


def test_the_finest_level_is_that_of_the_review(opened: OpenSection) -> None:
    assert opened.layers["fibers"].data is opened.review.labels


def test_status_tells_of_the_fiber_under_the_mouse(opened: OpenSection) -> None:
    told = opened.layers["fibers"].get_status(place_of(6), world=True)["value"]
    assert told.startswith("6")
    assert "type: II" in told
    assert "min Feret (µm): 20" in told
    assert "condition: necrotic" in told
    beside = opened.layers["fibers"].get_status((0.5, 0.5), world=True)["value"]
    assert beside == "0"


def test_status_tells_class_of_tissue_and_nucleus(opened: OpenSection) -> None:
    opened.layers["tissue"].visible = True
    told = opened.layers["tissue"].get_status(place_of(1), world=True)["value"]
    assert "tissue: fiber" in told
    opened.layers["nuclei"].visible = True
    told = opened.layers["nuclei"].get_status((20.0, 15.0), world=True)["value"]
    assert "nucleus: " in told


def test_groups_are_seen_through_the_table(opened: OpenSection) -> None:
    opened.layers["groups"].visible = True
    assert [seen(opened, "groups", label) for label in (1, 2, 3, 4)] == [1, 1, 0, 2]


def test_selection(opened: OpenSection) -> None:
    heard: list[list[int]] = []
    opened.selection_changed.connect(lambda labels: heard.append(labels.tolist()))
    opened.select([5, 2, 2, 99])
    opened.select(7, add=True)
    opened.select([2, 5, 7])
    assert heard == [[2, 5], [2, 5, 7]]
    assert opened.selection.tolist() == [2, 5, 7]
    drawn = np.asarray(opened.layers["selection"].data)
    labels = np.asarray(opened.review.labels)
    assert set(np.unique(labels[drawn > 0])) == {2, 5, 7}
    y, x = (int(side / 0.5) for side in place_of(5))
    assert drawn[y, x] == 0, "only a contour is drawn"
    opened.select([])
    assert not np.asarray(opened.layers["selection"].data).any()


def test_going_there(opened: OpenSection, model: ViewerModel) -> None:
    opened.select([12], go_there=True)
    np.testing.assert_allclose(model.scene.camera.center[-2:], place_of(12), atol=0.3)
    opened.select([1, 12], go_there=True)
    middle = np.add(place_of(1), place_of(12)) / 2
    np.testing.assert_allclose(model.scene.camera.center[-2:], middle, atol=0.3)


def test_label_at(opened: OpenSection) -> None:
    assert opened.label_at(place_of(7)) == 7
    assert opened.label_at((0.1, 0.1)) == 0
    for beside in ((-1.0, 5.0), (5.0, 96.1), (1e9, 0.0)):
        assert opened.label_at(beside) == 0


def test_clicks(opened: OpenSection) -> None:
    click(opened, place_of(3))
    assert opened.selection.tolist() == [3]
    click(opened, place_of(5), add=True)
    assert opened.selection.tolist() == [3, 5]
    click(opened, (0.1, 0.1), add=True)
    assert opened.selection.tolist() == [3, 5], "beside all fibers nothing is added"
    click(opened, place_of(3), add=True)
    assert opened.selection.tolist() == [5]
    click(opened, (0.1, 0.1))
    assert opened.selection.tolist() == []


def press(model: ViewerModel, at: tuple[float, float], *modifiers: str) -> None:
    """Click as the canvas does."""
    event = SimpleNamespace(
        type="mouse_press", pos=(5, 5), position=at, button=1, modifiers=modifiers
    )
    (callback,) = (
        each
        for each in model.mouse_drag_callbacks
        if getattr(each, "__self__", None) is sections_of(model)
    )
    steps = callback(model, event)
    next(steps)
    event.type = "mouse_release"
    list(steps)


def test_the_mouse_selects_only_on_own_layers(opened: OpenSection, model: ViewerModel) -> None:
    press(model, place_of(4))
    press(model, place_of(6), "Shift")
    assert opened.selection.tolist() == [4, 6]
    model.add_points([(0, 0)])
    press(model, place_of(1))
    assert opened.selection.tolist() == [4, 6]


def test_edit_of_the_table(opened: OpenSection) -> None:
    before = opened.layers["fibers"].colormap.map(2)
    opened.select([2, 3])
    heard: list[Any] = []
    opened.fibers_changed.connect(heard.append)
    change = opened.apply(lambda review: review.set_type([2], "I"))
    assert change is not None
    assert heard == [change]
    assert opened.selection.tolist() == [2, 3]
    after = opened.layers["fibers"].colormap.map(2)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, opened.layers["fibers"].colormap.map(1))
    assert "type: I" in opened.layers["fibers"].get_status(place_of(2), world=True)["value"]


def test_edit_of_outlines(opened: OpenSection) -> None:
    opened.select([4, 5])
    assert seen(opened, "fibers", 5) == 5
    opened.apply(lambda review: review.delete([5]))
    assert seen(opened, "fibers", 5) == 0
    assert opened.selection.tolist() == []
    opened.apply(lambda review: review.undo())
    assert seen(opened, "fibers", 5) == 5
    assert opened.selection.tolist() == [5], "what came back is what one looks at"
    line = np.array([(36.0, 0.0), (36.0, 24.0)])
    change = opened.apply(lambda review: review.split(5, line))
    assert change is not None
    assert opened.selection.tolist() == sorted(change.changed)
    assert len(opened.selection) == 2
    assert np.asarray(opened.layers["selection"].data)[66:78, 15:35].any()
    new = max(opened.selection)
    assert opened.layers["fibers"].colormap.map(int(new))[3] > 0, "a new fiber has a color"


def test_an_edit_that_fails_is_told(opened: OpenSection, monkeypatch: pytest.MonkeyPatch) -> None:
    import napari.utils.notifications as notifications

    shown: list[str] = []
    monkeypatch.setattr(notifications, "show_error", shown.append)
    told: list[str] = []
    opened.message.connect(told.append)
    opened.fibers_changed.connect(lambda change: pytest.fail("nothing has changed"))
    assert opened.apply(lambda review: review.merge([1])) is None
    assert told == shown
    assert "two or more fibers" in told[0]


def test_nothing_to_undo(opened: OpenSection) -> None:
    assert opened.apply(lambda review: review.undo()) is None


def test_coloring(opened: OpenSection) -> None:
    assert opened.coloring.key == "type"
    heard: list[str] = []
    opened.coloring_changed.connect(lambda: heard.append(opened.coloring.key))
    opened.color_by("condition")
    assert heard == ["condition"]
    colormap = opened.layers["fibers"].colormap
    palette = opened.coloring.palette
    for row, label in enumerate(opened.review.ids.tolist()):
        expected = [*palette[opened.coloring.index[row]] / 255, 1]
        np.testing.assert_allclose(colormap.map(label), expected, atol=1e-6)
        np.testing.assert_allclose(colormap.map(np.array([label]))[0], expected, atol=1e-6)
    np.testing.assert_array_equal(colormap.map(np.array([0, 999])), np.zeros((2, 4)))


def test_outlines_or_tints(opened: OpenSection) -> None:
    assert not opened.outlined
    opened.outlined = True
    layer = opened.layers["fibers"]
    assert layer.contour > 0
    assert layer.opacity > 0.8
    opened.outlined = False
    assert layer.contour == 0
    assert layer.opacity < 0.6


def test_new_scores(opened: OpenSection, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []

    def take_over(result: Any) -> None:
        taken.append(result)
        opened.review.table["group"] = 3

    monkeypatch.setattr(opened.review, "take_over", take_over)
    heard: list[bool] = []
    opened.scores_changed.connect(lambda: heard.append(True))
    opened.take_over("scores")
    assert taken == ["scores"]
    assert heard == [True]
    opened.layers["groups"].visible = True
    assert seen(opened, "groups", 9) == 3


def test_removing_the_fibers_closes(opened: OpenSection, model: ViewerModel, results: Path) -> None:
    points = model.add_points([(0, 0)])
    closed: list[bool] = []
    opened.closed.connect(lambda: closed.append(True))
    model.layers.remove(opened.layers["tissue"])
    assert "tissue" not in opened.layers
    assert not closed
    model.layers.remove(opened.layers["fibers"])
    assert closed == [True]
    assert list(model.layers) == [points]
    assert sections_of(model).all == ()
    assert sections_of(model).active is None
    open_results(model, results).close()
    assert list(model.layers) == [points]


@pytest.mark.parametrize("how", ["clear", "selected"])
def test_removing_all_closes(opened: OpenSection, model: ViewerModel, how: str) -> None:
    if how == "clear":
        model.layers.clear()
    else:
        model.layers.selection = set(model.layers)
        model.layers.remove_selected()
    assert not opened.is_open
    assert not model.layers


def test_two_sections(opened: OpenSection, model: ViewerModel, results: Path) -> None:
    sections = sections_of(model)
    heard: list[OpenSection | None] = []
    sections.active_changed.connect(lambda: heard.append(sections.active))
    other = open_results(model, shutil.copytree(results, results.parent / "other"))
    assert sections.all == (opened, other)
    assert sections.active is other
    other.select([3])
    assert opened.selection.tolist() == []
    model.layers.selection.active = opened.layers["nuclei"]
    assert sections.active is opened
    model.layers.selection.active = model.add_points([(0, 0)])
    assert sections.active is opened, "a layer of the user changes nothing"
    opened.close()
    assert sections.active is other
    assert heard == [other, opened, other]
    assert other.layers["fibers"] in model.layers


def test_a_folder_opens_once(opened: OpenSection, model: ViewerModel, results: Path) -> None:
    assert open_results(model, results / ".." / results.name) is opened


def test_a_slide_that_is_shown_already_is_not_shown_twice(
    model: ViewerModel, results: Path
) -> None:
    from napari.layers import Layer

    from napari_plugin.reader import read_slide

    (parts,) = read_slide(str(results.parent.parent / "slides" / "section.tif"))
    image = model.add_layer(Layer.create(*parts))
    # the folder knows the slide by the path of its first place
    image.metadata["biopsy_ai"]["path"] = str(_recorded_slide(results))
    section = open_results(model, results)
    assert section.layers["image"] is image
    section.close()
    assert list(model.layers) == [image]


def _recorded_slide(results: Path) -> Path:
    from biopsy_ai.saved import read_analysis

    path = read_analysis(results).slide_path
    assert path is not None
    return path


def test_without_slide_the_fibers_are_shown(
    model: ViewerModel, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari.utils.notifications as notifications

    told: list[str] = []
    monkeypatch.setattr(notifications, "show_error", told.append)
    section = open_results(model, results, slide=results / "missing.tif")
    assert "image" not in section.layers
    assert "fibers" in section.layers
    assert "without their slide" in told[0]


def test_review_that_is_open_elsewhere(opened: OpenSection, results: Path) -> None:
    from napari.components import ViewerModel

    with pytest.raises(ReviewError):
        open_results(ViewerModel(), results)


def test_no_results(model: ViewerModel, tmp_path: Path) -> None:
    with pytest.raises(BiopsyError):
        open_results(model, tmp_path)
    assert not model.layers


def test_labels_that_are_too_high(
    model: ViewerModel, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_plugin import section_layers

    monkeypatch.setattr(section_layers, "MAX_LABEL", 12)
    with pytest.raises(OutputError, match="too high to be shown"):
        open_results(model, results)
    monkeypatch.undo()
    open_results(model, results).close()


def test_layers_that_cannot_be_added_leave_nothing(
    model: ViewerModel, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_plugin import section_layers

    def broken(*_: Any, **__: Any) -> None:
        raise OutputError("no room")

    monkeypatch.setattr(section_layers, "_nuclei_layer", broken)
    with pytest.raises(OutputError, match="no room"):
        open_results(model, results)
    assert not model.layers
    monkeypatch.undo()
    open_results(model, results).close()


def test_a_viewer_is_not_kept(results: Path) -> None:
    from napari.components import ViewerModel

    model = ViewerModel()
    section = open_results(model, results)
    section.select([1])
    held, kept = ref(model), section
    model.layers.clear()
    del model, section
    gc.collect()
    assert held() is None
    assert kept.viewer is None
