"""That loading OpenCV leaves the Qt of the viewer alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from napari_plugin import QT_FOLDERS, import_opencv


@pytest.mark.parametrize("name", QT_FOLDERS)
def test_folders_of_opencv_are_dropped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, str(Path(cv2.__file__).parent / "qt" / "plugins"))
    import_opencv()
    assert name not in os.environ


@pytest.mark.parametrize("name", QT_FOLDERS)
def test_other_folders_stay(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(name, str(tmp_path))
    import_opencv()
    assert os.environ[name] == str(tmp_path)


@pytest.mark.parametrize("order", ["import cv2, napari_plugin", "import napari_plugin, cv2"])
def test_in_whatever_order_they_are_imported(order: str, repository: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in QT_FOLDERS}
    code = f"import os; {order}; print([n for n in {QT_FOLDERS} if n in os.environ])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_folder_of_the_user_survives_the_first_import(repository: Path) -> None:
    code = "import os, napari_plugin; print(os.environ['QT_QPA_FONTDIR'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "QT_QPA_FONTDIR": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(repository)
