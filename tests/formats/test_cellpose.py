from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.cellpose import read_seg_masks

MASKS = np.array([[0, 1, 1, 0], [0, 1, 0, 700], [2, 2, 0, 700]], dtype=np.uint16)


def content(masks=MASKS):
    """What Cellpose saves beside a picture."""
    return {
        "outlines": masks * 0,
        "colors": np.zeros((2, 3), np.uint8),
        "masks": masks,
        "chan_choose": [0, 0],
        "filename": "a.tif",
        "flows": [np.zeros((1, 3, 4), np.uint8), np.zeros((2, 3), np.float32), [1, "x"]],
        "ismanual": np.zeros(2, bool),
        "manual_changes": [],
        "diameter": np.float64(30.0),
        "zdraw": [None, None],
    }


def saved(path: Path, value: object, protocol: int | None = None) -> Path:
    """Write a value as `numpy.save` does, with the pickle protocol of older programs."""
    if protocol is None:
        np.save(path, value, allow_pickle=True)
        return path
    array = np.empty((), dtype=object)
    array[()] = value
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(array, file, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", [None, 0, 1, 2, 3, 4, 5])
def test_masks_of_cellpose_are_read(tmp_path: Path, protocol: int | None) -> None:
    path = saved(tmp_path / "a_seg.npy", content(), protocol)
    found = read_seg_masks(path)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, MASKS)


@pytest.mark.parametrize(
    "masks",
    [np.asfortranarray(MASKS), MASKS.astype(">u4"), MASKS.astype(np.int64), MASKS[None]],
    ids=["by columns", "other byte order", "wide", "one plane"],
)
def test_masks_may_lie_in_any_way(tmp_path: Path, masks: np.ndarray) -> None:
    found = read_seg_masks(saved(tmp_path / "a_seg.npy", content(masks)))
    np.testing.assert_array_equal(found, MASKS)


class Touches:
    """Makes a file when it is opened as a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [None, 2, 5])
def test_nothing_in_the_file_is_run(tmp_path: Path, protocol: int | None) -> None:
    evil = content() | {"flows": [Touches(tmp_path / "touched")]}
    path = saved(tmp_path / "a_seg.npy", evil, protocol)
    with pytest.raises(OutlineReadError, match=r"a_seg\.npy.*system.*TIFF or PNG"):
        read_seg_masks(path)
    assert not (tmp_path / "touched").exists()
    np.load(path, allow_pickle=True).item()
    assert (tmp_path / "touched").exists(), "the file would have run something"


class Calls:
    """Pickles as a call of anything by name."""

    def __init__(self, function, *arguments) -> None:
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("called", [eval, getattr, __import__, np.load, np.fromfile])
def test_no_function_is_called(tmp_path: Path, called) -> None:
    path = saved(tmp_path / "a_seg.npy", {"masks": MASKS, "x": Calls(called, "1")})
    with pytest.raises(OutlineReadError, match="could run a program"):
        read_seg_masks(path)


def test_an_array_cannot_be_larger_than_its_file(tmp_path: Path) -> None:
    state = (1, (10**6, 10**6), np.dtype("u1"), False, 10**12)

    class Huge:
        def __reduce__(self):
            return np.zeros(1).__reduce__()[0], np.zeros(1).__reduce__()[1], state

    with pytest.raises(OutlineReadError, match=r"a_seg\.npy"):
        read_seg_masks(saved(tmp_path / "a_seg.npy", {"masks": Huge()}))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"outlines": MASKS}, "no masks"),
        ({"masks": MASKS.astype(float)}, "no masks"),
        ({"masks": np.stack([MASKS, MASKS])}, "3 dimensions"),
        ({"masks": MASKS.astype(int) - 1}, "no numbers of fibers"),
        ([1, 2], "no masks"),
        (MASKS, "no masks"),
    ],
)
def test_what_holds_no_masks_is_refused(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(OutlineReadError, match=rf"a_seg\.npy.*{words}.*TIFF or PNG"):
        read_seg_masks(saved(tmp_path / "a_seg.npy", value))


@pytest.mark.parametrize("kept", [0, 5, 60, -20])
def test_damaged_files_are_refused(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path / "a_seg.npy", content())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OutlineReadError, match=r"a_seg\.npy"):
        read_seg_masks(path)
    with pytest.raises(OutlineReadError, match="cannot be read"):
        read_seg_masks(tmp_path / "none_seg.npy")
