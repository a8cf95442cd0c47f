from __future__ import annotations

import numpy as np
import pytest
import tifffile

from biopsy_ai import labels as label_room
from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.class_map import read_class_map, write_class_map
from biopsy_ai.formats.label_image import write_label_image

NAMES = ("background", "fiber", "fat", "vessel & <nerve> µ")


@pytest.fixture
def classes() -> np.ndarray:
    y, x = np.indices((1100, 530))
    return ((y // 40 + x // 25) % len(NAMES)).astype(np.uint8)


@pytest.mark.parametrize("large", [False, True])
def test_classes_names_and_pixel_size_survive_the_round_trip(
    tmp_path, monkeypatch, classes, large: bool
) -> None:
    if large:
        monkeypatch.setattr(label_room, "IN_MEMORY_PX", 1000)
    path = tmp_path / "tissue ä.tif"
    write_class_map(path, classes, NAMES, (1.0, 0.75))
    read = read_class_map(path)
    assert isinstance(read.classes, np.ndarray) != large
    np.testing.assert_array_equal(read.classes[:, :], classes)
    assert read.classes[0:1, 0:1].dtype == np.uint8
    assert read.names == NAMES
    assert read.mpp == (1.0, 0.75)


def test_other_programs_see_the_names_and_the_pixel_size(tmp_path, classes) -> None:
    write_class_map(tmp_path / "tissue.tif", classes, NAMES[:3], (1.0, 1.0))
    with tifffile.TiffFile(tmp_path / "tissue.tif") as file:
        assert file.pages.first.tile == (512, 512)
        assert file.pages.first.dtype == np.uint8
        assert '<M K="2">fat</M>' in file.ome_metadata
        assert "0 background; 1 fiber; 2 fat" in file.ome_metadata


def test_what_is_no_class_map_is_named(tmp_path, classes) -> None:
    labels, damaged = tmp_path / "fibers.tif", tmp_path / "damaged.tif"
    write_label_image(labels, classes, (1.0, 1.0))
    damaged.write_bytes(b"II*\0 and nothing more")
    for path in (labels, damaged, tmp_path / "nowhere.tif"):
        with pytest.raises(OutlineReadError, match=path.name):
            read_class_map(path)
