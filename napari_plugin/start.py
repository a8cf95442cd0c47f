"""Starting napari with the panel and the table of biopsy-ai open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN = "biopsy-ai"
PANEL, TABLE = "biopsy-ai", "Table of fibers"
"""Names of the widgets in the manifest."""

ROOM_PX = (1280, 800)
"""Least width and height of the window. [default]"""


def start(paths: Sequence[Path] = (), on_open: Callable[[], None] | None = None) -> None:
    """Open the window, and come back when it is closed.

    Parameters
    ----------
    paths
        Slides and results folders to open.
    on_open
        Called once the window is there.

    Raises
    ------
    ImportError
        If napari, or its Qt, is not installed.
    """
    # On Windows, torch may not find its libraries once Qt has loaded others.
    import torch  # noqa: F401

    from napari_plugin import import_opencv

    import_opencv()
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer(title=PLUGIN)
    make_room(viewer)
    dock(viewer)
    for path in paths:
        open_path(viewer, path)
    if on_open is not None:
        QTimer.singleShot(0, on_open)
    napari.run()


def make_room(viewer: Viewer) -> None:
    """Make the window as large as picture, panel and table need, if the screen is."""
    from qtpy.QtGui import QGuiApplication

    screen = QGuiApplication.primaryScreen().availableGeometry()
    *_, width, height = viewer.window.geometry()
    wanted = max(width, ROOM_PX[0]), max(height, ROOM_PX[1])
    viewer.window.resize(min(wanted[0], screen.width()), min(wanted[1], screen.height()))


def dock(viewer: Viewer) -> Any:
    """Open the panel at the right and the table of fibers below; gives the panel."""
    from qtpy.QtCore import Qt, QTimer

    from napari_plugin.fiber_table import FiberTable

    # under the name that napari itself gives it, so that its menu shows and hides it; napari
    # would put it to the right first, as wide as it is, and leave the panel that width
    viewer.window.add_dock_widget(FiberTable(viewer), name=f"{TABLE} ({PLUGIN})", area="bottom")
    side, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)

    def fit() -> None:
        side.parentWidget().resizeDocks(
            [side], [panel.sizeHint().width()], Qt.Orientation.Horizontal
        )

    QTimer.singleShot(0, fit)
    return panel


def open_path(viewer: Viewer, path: Path) -> None:
    """Open a slide or a results folder; what goes wrong is said in the window."""
    from napari.utils.notifications import show_error

    try:
        viewer.open(str(path.absolute()), plugin=PLUGIN)
    except Exception as error:  # the window is open, and is where the user looks
        show_error(f"{path}: cannot be opened. {error}")
