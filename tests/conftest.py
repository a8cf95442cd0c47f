"""Fixtures for all tests. What takes long to import is imported where it is used."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from drawn_sections import DrawnSection

    from biopsy_ai.segmentation import Segmentation

REPOSITORY = Path(__file__).resolve().parents[1]

REAL_DATA = "BIOPSY_AI_REAL_DATA"
"""Environment variable with the folder of real images."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run window tests last, and skip them where a window would end the whole test run."""
    # Once Mesa's software renderer is loaded, importing triton (which every torch optimizer
    # does) crashes the process: both bring their own LLVM.
    items.sort(key=lambda item: "gui" in item.keywords)
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or shutil.which("Xvfb"):
        return
    no_display = pytest.mark.skip(reason="no display and no Xvfb (Debian: apt-get install xvfb)")
    for item in items:
        if "gui" in item.keywords:
            item.add_marker(no_display)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real images, which is not part of the repository."""
    named = os.environ.get(REAL_DATA)
    if not named:
        pytest.skip(f"needs real images: {REAL_DATA} does not name their folder")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"needs real images: {REAL_DATA} names {folder}, which is not there")
    return folder


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Load a module of the benchmarks, which are scripts beside the package, by name."""
    folder = REPOSITORY / "benchmarks"
    if not folder.is_dir():
        pytest.skip("the benchmarks are not part of this installation")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == folder:
            del sys.modules[name]


@pytest.fixture
def section(tmp_path: Path) -> DrawnSection:
    """A drawn section in a folder of its own."""
    from drawn_sections import draw_section

    return draw_section(tmp_path / "slides")


@pytest.fixture
def fake_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the network by a threshold that finds the fibers of a drawn section."""
    import biopsy_ai.segmentation as room

    model = SimpleNamespace(
        spec={"name": "fake"}, weights_sha256="0" * 64, draws_nuclei=False, draws_tissue=False
    )
    monkeypatch.setattr(room, "load_model", lambda name, **_: model)
    monkeypatch.setattr(room, "segment_fibers", _segment_by_threshold)


def _segment_by_threshold(
    slide: Any, config: Any, *, model: Any, tissue: Any, stain: Any, progress: Any
) -> Segmentation:
    import numpy as np
    from scipy import ndimage

    from biopsy_ai.config import OUTLINE_MPP
    from biopsy_ai.segmentation import Segmentation

    image = slide.read(0, 0, *slide.grid_shape(OUTLINE_MPP), OUTLINE_MPP)
    labels, n = ndimage.label(image[..., 1] < 180, output=np.int32)
    if progress is not None:
        progress("segment", 1, 1)
    boxes = [
        (rows.start, columns.start, rows.stop, columns.stop)
        for rows, columns in ndimage.find_objects(labels)
    ]
    return Segmentation(
        labels=labels,
        mpp=(OUTLINE_MPP, OUTLINE_MPP),
        ids=np.arange(1, n + 1),
        boxes=np.array(boxes, dtype=np.int64).reshape(-1, 4),
        confidence=np.full(n, 0.9, dtype=np.float32),
        touches_tissue_edge=np.zeros(n, dtype=bool),
        provenance={"method": "network", "model": "fake", "weights_sha256": "0" * 64},
    )
