from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_plugin.navigation import CLOSEST_UM, go_to_box, is_click

if TYPE_CHECKING:
    from napari.components import ViewerModel


def seen_um(model: ViewerModel) -> np.ndarray:
    """Height and width of the view."""
    return np.array(model.canvas.size) / model.scene.camera.zoom


def test_a_small_fiber_is_seen_with_its_neighbors(model: ViewerModel) -> None:
    model.scene.camera.zoom = 0.01
    go_to_box(model, np.array([100.0, 200.0, 110.0, 210.0]))
    assert model.scene.camera.center[-2:] == (105.0, 205.0)
    assert seen_um(model).min() == pytest.approx(CLOSEST_UM)


def test_all_of_a_large_box_is_seen(model: ViewerModel) -> None:
    model.scene.camera.zoom = 50
    go_to_box(model, np.array([0.0, 0.0, 4000.0, 1000.0]))
    height, width = seen_um(model)
    assert 4000 < height < 6000
    assert width > 1000


def test_the_zoom_stays_from_fiber_to_fiber(model: ViewerModel) -> None:
    zoom = model.canvas.size[0] / (2 * CLOSEST_UM)
    model.scene.camera.zoom = zoom
    for place in (100.0, 300.0):
        go_to_box(model, np.array([place, place, place + 30, place + 30]))
        assert model.scene.camera.zoom == zoom


class Press:
    """A press of the mouse, as the viewer tells of it."""

    def __init__(self, *places: tuple[float, float], button: int = 1) -> None:
        self.places = places
        self.button = button
        self.modifiers: tuple[str, ...] = ()

    def follow(self, model: Any) -> bool:
        event = SimpleNamespace(type="mouse_press", pos=self.places[0], button=self.button)
        steps = is_click(model, event)
        found = [next(steps)]
        for place in self.places[1:]:
            event.type, event.pos = "mouse_move", place
            found.append(next(steps))
        event.type = "mouse_release"
        found.extend(steps)
        assert not any(found[:-1])
        return found[-1]


def test_clicks(model: ViewerModel) -> None:
    assert Press((10, 10)).follow(model)
    assert Press((10, 10), (12, 11)).follow(model)
    assert not Press((10, 10), (40, 10), (10, 10)).follow(model), "a drag that came back"
    assert not Press((10, 10), button=2).follow(model)


def test_who_draws_does_not_click(model: ViewerModel) -> None:
    model.scene.camera.mouse_pan = False
    assert not Press((10, 10)).follow(model)
