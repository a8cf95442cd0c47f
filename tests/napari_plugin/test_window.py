"""That a window opens and draws at all on this machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")


@pytest.mark.gui
def test_window_draws(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    section = np.zeros((64, 64, 3), np.uint8)
    section[16:48, 16:48] = (255, 0, 0)
    viewer.add_image(section, rgb=True)
    viewer.add_labels(np.pad(np.ones((8, 8), np.int32), 28))
    shown = viewer.screenshot(canvas_only=True, flash=False)[..., :3].reshape(-1, 3).astype(int)
    red = (shown[:, 0] > 200) & (shown[:, 1] < 60) & (shown[:, 2] < 60)
    assert 0.05 < red.mean() < 0.6


@pytest.mark.gui
def test_qt_keeps_references(qtbot: Any) -> None:
    """A binding that loses a reference to None with every call ends the process in the end."""
    import gc
    import sys

    from qtpy.QtCore import QSortFilterProxyModel, QStringListModel, Qt

    if sys.version_info >= (3, 12):
        pytest.skip("None is not counted any more from Python 3.12 on")

    class Silent(QStringListModel):
        def data(self, index: Any, role: int = 0) -> None:
            return None

    source = Silent(["a"])
    proxy = QSortFilterProxyModel()
    proxy.setSourceModel(source)
    gc.collect()
    before = sys.getrefcount(None)
    for _ in range(500):
        proxy.data(proxy.index(0, 0), Qt.ItemDataRole.FontRole)
    assert sys.getrefcount(None) > before - 100
