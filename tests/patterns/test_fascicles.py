import numpy as np
import pandas as pd
import pytest

from biopsy_ai import labels as labels_room
from biopsy_ai.labels import view_on_grid
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.fascicles import find_fascicles

MPP = (1.0, 1.0)


def mosaic(
    rows: int = 2, columns: int = 2, side: int = 5, *, gap: int = 2, wall: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Square fascicles of side x side fibers of 40 µm, parted by perimysium."""
    pitch = 40 + gap
    inner = side * pitch + gap
    shape = rows * inner + (rows + 1) * wall, columns * inner + (columns + 1) * wall
    classes = np.full(shape, 3, np.uint8)
    fibers = np.zeros(shape, np.int32)
    for k in range(rows * columns):
        y = wall + (k // columns) * (inner + wall)
        x = wall + (k % columns) * (inner + wall)
        classes[y : y + inner, x : x + inner] = 2
        for f in range(side**2):
            part = (
                slice(y + gap + (f // side) * pitch, y + (f // side + 1) * pitch),
                slice(x + gap + (f % side) * pitch, x + (f % side + 1) * pitch),
            )
            fibers[part] = k * side**2 + f + 1
            classes[part] = 1
    return classes, fibers


def test_every_fiber_gets_its_fascicle_and_layer():
    found = find_fascicles(*mosaic(), MPP)
    assert not found.whole_section
    assert found.reason == ""
    assert found.table["n_fibers"].tolist() == [25] * 4
    assert found.table["complete"].all()
    assert found.table["closed_share"].tolist() == [1.0] * 4
    assert found.table["area_um2"].to_numpy() == pytest.approx(212**2, rel=0.03)
    assert found.fibers["fascicle"].tolist() == np.repeat([1, 2, 3, 4], 25).tolist()
    expected = np.full((5, 5), 1)
    expected[1:4, 1:4] = 2
    expected[2, 2] = 3
    for k in range(4):
        layer = found.fibers["layer"].to_numpy(int)[25 * k : 25 * k + 25].reshape(5, 5)
        assert layer.tolist() == expected.tolist()


def test_the_numbers_of_the_fibers_do_not_matter():
    classes, fibers = mosaic()
    found = find_fascicles(classes, fibers, MPP)
    # at the end of what a label image holds, where tables by label would take gigabytes
    large = np.where(fibers > 0, 2**31 - 1 - 3 * fibers, 0).astype(np.int32)
    same = find_fascicles(classes, large, MPP)
    np.testing.assert_array_equal(same.labels, found.labels)
    expected = found.fibers.assign(label=2**31 - 1 - 3 * found.fibers["label"])
    expected = expected.sort_values("label", ignore_index=True)
    pd.testing.assert_frame_equal(same.fibers, expected, check_dtype=False)


def test_a_fascicle_cut_by_the_image_is_not_complete_and_its_cut_side_is_no_border():
    classes, fibers = mosaic(1, 2)
    classes, fibers = classes[:, 62:], fibers[:, 62:]  # the first column of fibers is gone
    found = find_fascicles(classes, fibers, MPP)
    assert found.table["complete"].tolist() == [False, True]
    layer = found.fibers.set_index("label")["layer"]
    assert layer[12] == 3
    assert layer[2] == 1


def test_leaks_and_noise_do_not_join_fascicles():
    classes, fibers = mosaic(1, 2)
    classes[100:125, 225:260] = 2  # a gap of 25 µm in the wall
    classes[30:34, 30:34] = 3
    found = find_fascicles(classes, fibers, MPP)
    assert found.table["n_fibers"].tolist() == [25, 25]


def test_fat_belongs_to_the_fascicle_whose_fibers_surround_it():
    classes, fibers = mosaic(1, 2)
    middle = (slice(104, 146), slice(104, 146))
    classes[middle], fibers[middle] = 4, 0
    classes[100:150, 236:250] = 4  # in the wall
    found = find_fascicles(classes, fibers, MPP)
    seen = np.asarray(view_on_grid(found.labels, found.mpp, fibers.shape, MPP)[:, :])
    assert (seen[middle] == 1).mean() > 0.9
    assert (seen[100:150, 238:248] == 0).mean() > 0.9


def test_a_thin_tear_parts_no_fascicle_and_glass_is_no_border():
    classes, fibers = mosaic(1, 2)
    classes[:, 118:124] = 0
    fibers[:, 118:124] = 0
    classes = np.pad(classes[20:], ((80, 0), (0, 0)))
    fibers = np.pad(fibers[20:], ((80, 0), (0, 0)))
    found = find_fascicles(classes, fibers, MPP)
    assert found.table["n_fibers"].tolist() == [25, 25]
    assert not found.table["complete"].any()
    layer = found.fibers.set_index("label")["layer"]
    assert layer[28] > 1, "in the middle of the side that faces glass"
    assert layer[48] == 1, "in the middle of the side that faces perimysium"


def test_dissolved_borders_fall_back_to_the_whole_section():
    wide = find_fascicles(*mosaic(gap=30, wall=16), MPP)
    assert wide.whole_section
    lenient = Limits({"fascicle_width_ratio": 9.0})
    assert not find_fascicles(*mosaic(gap=30, wall=16), MPP, limits=lenient).whole_section
    assert "as wide as" in wide.reason
    assert (wide.fibers["fascicle"] == 1).all()
    assert wide.fibers["layer"].isna().all()
    assert not wide.labels.any()

    classes, fibers = mosaic(2, 2)
    classes[classes == 3] = 2
    none = find_fascicles(classes, fibers, MPP)
    assert none.whole_section
    assert "no perimysium" in none.reason


@pytest.mark.parametrize("wall", [10, 14])
def test_walls_in_pieces_fall_back_to_the_whole_section(wall):
    """Half of every wall is open."""
    classes, fibers = mosaic(2, 2, wall=wall)
    y, x = np.indices(classes.shape)
    upright = abs(x - classes.shape[1] / 2) < wall / 2 + 1
    classes[(classes == 3) & np.where(upright, y % 60 < 30, x % 60 < 30)] = 2
    inner = (slice(wall, -wall), slice(wall, -wall))
    found = find_fascicles(classes[inner], fibers[inner], MPP)
    assert found.whole_section
    assert "in islands" in found.reason


def test_walls_go_on_under_fat():
    classes, fibers = mosaic(1, 2, wall=30)
    fat = (slice(100, 160), slice(220, 295))  # over the wall and the fibers on both sides
    classes[fat], fibers[fat] = 4, 0
    found = find_fascicles(classes, fibers, MPP)
    assert len(found.table) == 2
    assert found.fibers.groupby("fascicle")["label"].max().tolist() == [25, 50]


def test_result_does_not_depend_on_the_pieces_or_on_where_images_are_kept(monkeypatch, tmp_path):
    import zarr

    classes, fibers = mosaic(2, 3, side=4)
    whole = find_fascicles(classes, fibers, (0.9, 0.9))
    stored = zarr.create_array(tmp_path / "f.zarr", shape=fibers.shape, dtype="i4", chunks=(64, 64))
    stored[:] = fibers
    for window in (53, 200):
        monkeypatch.setattr(labels_room, "WINDOW_PX", window)
        again = find_fascicles(classes, stored, (0.9, 0.9))
        assert np.array_equal(again.labels, whole.labels)
        pd.testing.assert_frame_equal(again.fibers, whole.fibers)
        pd.testing.assert_frame_equal(again.table, whole.table)


def test_no_fibers_at_all():
    empty = np.zeros((50, 60), np.int32)
    found = find_fascicles(empty, empty, MPP)
    assert found.whole_section
    assert len(found.fibers) == 0


def test_images_must_lie_on_the_same_grid():
    classes, fibers = mosaic(1, 1)
    with pytest.raises(ValueError, match="same grid"):
        find_fascicles(classes[:-1], fibers, MPP)
