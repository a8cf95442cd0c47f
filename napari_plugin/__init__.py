"""biopsy-ai in napari: an adapter without science of its own."""

from __future__ import annotations

import os
from pathlib import Path

QT_FOLDERS = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
"""Environment variables that tell Qt where its plugins and fonts are."""


def import_opencv() -> None:
    """Import OpenCV, and undo what that does to the environment.

    On its first import, OpenCV for Linux points Qt to the plugins of the Qt inside its own
    package, with which another Qt, as that of napari or of a program started from it, may fail to
    open a window. OpenCV itself opens none here.
    """
    before = {name: os.environ.get(name) for name in QT_FOLDERS}
    try:
        import cv2
    except ImportError:
        # Whatever needs it says so in its turn.
        return
    own = Path(str(cv2.__file__)).resolve().parent
    for name, value in before.items():
        if value is not None and not Path(value).resolve().is_relative_to(own):
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


import_opencv()
