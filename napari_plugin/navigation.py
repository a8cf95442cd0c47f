"""Finding a place in the picture: the camera brought to fibers, and fibers found by a click."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel

CLOSEST_UM = 150.0
"""The view is never narrower than that, so that neighbors are seen. [default]"""

MARGIN = 1.3
"""The view is so many times as wide as what it goes to. [default]"""

STAY = 4.0
"""The zoom stays where the view is up to so many times wider than needed. [default]"""

CLICK_PX = 4.0
"""A mouse that moved less than this while its button was down has clicked, screen pixels."""

ADDING_KEYS = ("Shift", "Control", "Meta")
"""With one of these a click adds to the selection, or takes from it."""


def go_to_box(viewer: ViewerModel, box_um: NDArray[np.float64]) -> None:
    """Bring a box (y0, x0, y1, x1) into the middle of the view, and zoom where it is needed."""
    y0, x0, y1, x1 = (float(side) for side in box_um)
    canvas = np.array(viewer.canvas.size, float)
    needed = np.maximum(np.array([y1 - y0, x1 - x0]) * MARGIN, CLOSEST_UM)
    camera = viewer.scene.camera
    closest = float((canvas / needed).min())
    if not closest / STAY <= camera.zoom <= closest:
        camera.zoom = closest
    camera.center = (0.0, (y0 + y1) / 2, (x0 + x1) / 2)


def is_click(viewer: ViewerModel, event: Any) -> Iterator[bool]:
    """Follow a press of the mouse, yielding False while it lasts and last whether it was a click.

    Only the left button counts, and only where the mouse moves the picture: whoever draws holds
    the camera still.
    """
    pressed = np.array(event.pos if event.pos is not None else (0, 0), float)
    moved = 0.0
    counts = event.button == 1 and viewer.scene.camera.mouse_pan
    yield False
    while event.type == "mouse_move":
        if event.pos is not None:
            moved = max(moved, float(np.abs(np.array(event.pos, float) - pressed).max()))
        yield False
    yield bool(counts and moved < CLICK_PX)
