"""Drawing a line or an outline over the section with one stroke of the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

DRAWING_LAYER = "drawing"
LINE_PX = 3
"""Width of the stroke on the screen."""
LINE_COLOR = "#ffff00"

Points = NDArray[np.float64]


class Drawing:
    """One stroke, from `start` until the mouse button is released or `stop`.

    Parameters
    ----------
    viewer
        Where it is drawn; the camera keeps still meanwhile.
    on_done
        Called with the (n, 2) points of the stroke, y and x in µm, after the drawing layer is gone.
        A mere click is no stroke.
    closed
        Whether the stroke surrounds something, and is shown as a closed outline.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_done: Callable[[Points], None],
        *,
        closed: bool = False,
    ) -> None:
        self._viewer = ref(viewer)
        self._on_done = on_done
        self._closed = closed
        self._layer: Shapes | None = None

    @property
    def is_on(self) -> bool:
        """Whether the next stroke is taken."""
        return self._layer is not None

    def start(self) -> None:
        """Take the next stroke."""
        viewer = self._viewer()
        if viewer is None or self.is_on:
            return
        active = viewer.layers.selection.active
        self._layer = viewer.add_shapes(
            name=DRAWING_LAYER,
            ndim=2,
            edge_color=LINE_COLOR,
            face_color="transparent",
            units=("um", "um"),
            axis_labels=("y", "x"),
        )
        # the keys of the review belong to the layer that was active
        viewer.layers.selection.active = active
        viewer.scene.camera.mouse_pan = False
        viewer.mouse_drag_callbacks.insert(0, self._drag)

    def stop(self) -> None:
        """Take no stroke any more; nothing of the drawing stays."""
        viewer, layer, self._layer = self._viewer(), self._layer, None
        if viewer is None:
            return
        if self._drag in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._drag)
        if layer is not None and layer in viewer.layers:
            active = viewer.layers.selection.active
            viewer.layers.remove(layer)
            if active is not None and active in viewer.layers:
                viewer.layers.selection.active = active
        viewer.scene.camera.mouse_pan = True

    def _drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        points = [_place(event)]
        yield
        while event.type == "mouse_move":
            points.append(_place(event))
            self._show(viewer, points)
            yield
        if self.is_on and len(points) > 1:
            self.stop()
            self._on_done(np.array(points, dtype=float))

    def _show(self, viewer: ViewerModel, points: list[tuple[float, float]]) -> None:
        layer = self._layer
        if layer is None or len(points) < 2:
            return
        layer.data = []
        kind = "polygon" if self._closed and len(points) > 2 else "path"
        width = LINE_PX / viewer.scene.camera.zoom
        layer.add([np.array(points)], shape_type=kind, edge_width=width, edge_color=LINE_COLOR)


def _place(event: Any) -> tuple[float, float]:
    y, x = event.position[-2:]
    return float(y), float(x)
