from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biopsy_ai import labels as label_room
from biopsy_ai.errors import OutputError
from biopsy_ai.segmentation.drawing import PLANES, FiberMaps
from biopsy_ai.segmentation.scratch import MapStore


def random_maps(height: int, width: int, seed: int = 0) -> FiberMaps:
    rng = np.random.default_rng(seed)
    return FiberMaps(
        rng.integers(1, 256, (height, width), np.uint8),
        rng.integers(1, 256, (height // 2, width // 2), np.uint8),
        rng.integers(1, 256, (height // 2, width // 2), np.uint8),
    )


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MapStore:
    if request.param == "file":
        monkeypatch.setattr(label_room, "IN_MEMORY_PX", 0)
    return MapStore((2000, 3000))


def test_maps_come_back(store: MapStore) -> None:
    maps = random_maps(700, 1216)
    store.write(512, 1088, maps)
    found = store.read(600, 1100, 1100, 2000)
    assert (found.foreground == maps.foreground[88:588, 12:912]).all()
    assert (found.border == maps.border[44:294, 6:456]).all()
    assert (found.distance == maps.distance[44:294, 6:456]).all()
    store.close()


def test_further_maps_come_back_as_well() -> None:
    rng = np.random.default_rng(2)
    maps = replace(
        random_maps(600, 640),
        nucleus=rng.integers(1, 256, (600, 640), np.uint8),
        nucleus_distance=rng.integers(1, 256, (300, 320), np.uint8),
        tissue=rng.integers(1, 7, (300, 320), np.uint8),
    )
    store = MapStore((2000, 3000), tuple(PLANES))
    store.write(512, 64, maps)
    found = store.read(500, 64, 1100, 500)
    for name, step in PLANES.items():
        expected = getattr(maps, name)[: 588 // step, : 436 // step]
        assert (getattr(found, name)[12 // step :] == expected).all()
        assert not getattr(found, name)[: 12 // step].any()
    store.close()


def test_what_was_never_written_is_zero(store: MapStore) -> None:
    store.write(576, 576, random_maps(128, 64))
    found = store.read(0, 0, 1200, 1400)
    inside = np.zeros((1200, 1400), bool)
    inside[576:704, 576:640] = True
    assert ((found.foreground > 0) == inside).all()
    assert ((found.border > 0) == inside[::2, ::2]).all()
    store.close()


def test_small_slides_need_no_file() -> None:
    assert MapStore((100, 100))._file is None


def test_no_room_for_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="TMPDIR"):
        MapStore((100, 100))


def test_odd_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        random_maps(11, 10)
