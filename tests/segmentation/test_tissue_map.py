import numpy as np
import pytest

from biopsy_ai import labels, processors
from biopsy_ai.packed_labels import PackedLabels
from biopsy_ai.segmentation.drawing import VOTE
from biopsy_ai.segmentation.tissue_map import TissueMap, TissueSheet, call_fibers
from biopsy_ai.segmentation.windows import Window
from biopsy_ai.tissue_classes import ARTEFACT, FAT, FIBER, VESSEL


def test_windows_fill_their_cores() -> None:
    sheet = TissueSheet((40, 60))
    left, right = Window((0, 0, 40, 30), (0, 0, 40, 40)), Window((0, 30, 40, 60), (0, 20, 40, 60))
    sheet.place(left, np.full((20, 15), FIBER, np.uint8))
    sheet.place(right, np.full((20, 15), FAT, np.uint8))
    assert (sheet.classes[:, :15] == FIBER).all()
    assert (sheet.classes[:, 15:] == FAT).all()


def test_votes_are_kept_apart_from_the_classes() -> None:
    sheet = TissueSheet((40, 40))
    window = Window((0, 0, 40, 40), (0, 0, 40, 40))
    found = np.full((20, 20), FIBER, np.uint8)
    found[:, 10:] += VOTE
    sheet.place(window, found)
    assert (sheet.classes[:, :] == FIBER).all()
    assert (sheet.votes[:, :] == np.repeat([0, 1], 10)).all()


def test_what_lies_on_the_glass_is_background() -> None:
    sought = np.zeros((5, 5), bool)
    sought[1:4, 1:4] = True
    sheet = TissueSheet((40, 40), sought)
    whole = Window((0, 0, 40, 40), (0, 0, 40, 40))
    sheet.place(whole, np.full((20, 20), FAT, np.uint8))
    assert (sheet.classes[4:16, 4:16] == FAT).all()
    assert np.count_nonzero(sheet.classes[:, :]) == 12 * 12


def test_the_outline_of_a_fiber_beats_the_class_of_its_pixels() -> None:
    classes = np.full((20, 20), VESSEL, np.uint8)
    classes[:, 10:] = ARTEFACT  # 200 µm²
    fibers = np.zeros((40, 40), np.int32)
    fibers[10:20, 10:30] = 7
    tissue = TissueMap(classes, (1.0, 1.0))
    call_fibers(tissue, fibers, (0.5, 0.5))
    assert (classes[5:10, 5:10] == FIBER).all()
    assert (classes[:, 10:] == ARTEFACT).all()
    assert np.count_nonzero(classes == FIBER) == 25


def test_what_ends_with_a_fiber_is_no_artefact() -> None:
    fibers = np.zeros((40, 80), np.int32)
    fibers[4:36, 4:36], fibers[4:36, 44:76] = 1, 2
    classes = np.where(fibers[::2, ::2] > 0, FIBER, VESSEL).astype(np.uint8)
    classes[2:20, 3:18] = ARTEFACT  # most of the first fiber and a little beside it
    classes[8:12, 20:40] = classes[:, 38:] = ARTEFACT  # across the second, and more beside it
    call_fibers(TissueMap(classes, (2.0, 2.0)), fibers, (1.0, 1.0))
    assert (classes[2:18, 2:18] == FIBER).all()
    assert (classes[18:, 3:18] == VESSEL).all(), "and what hangs on it is what lies around"
    assert (classes[8:12, 22:38] == ARTEFACT).all()
    assert (classes[:, 38:] == ARTEFACT).all()


def test_specks_are_no_artefacts() -> None:
    classes = np.full((60, 60), VESSEL, np.uint8)
    classes[:, 40:] = FAT
    classes[5:15, 5:15] = classes[5:15, 45:55] = ARTEFACT  # 100 µm² each
    classes[30:50, 10:30] = ARTEFACT  # 400 µm²
    call_fibers(TissueMap(classes, (1.0, 1.0)), np.zeros((120, 120), np.int32), (0.5, 0.5))
    assert (classes[:30, :40] == VESSEL).all()
    assert (classes[:, 40:] == FAT).all()
    assert (classes[30:50, 10:30] == ARTEFACT).all()


@pytest.mark.parametrize("cores", [1, 3])
def test_bands_see_the_same_whichever_is_called_first(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    fibers = np.zeros((700, 600), np.int32)
    classes = np.full((350, 300), VESSEL, np.uint8)
    for label, (y, x) in enumerate(rng.integers(0, (660, 560), (60, 2)).tolist(), start=1):
        fibers[y : y + 40, x : x + 40] = label
    for y, x, height, width in rng.integers((0, 0, 5, 5), (330, 280, 90, 40), (40, 4)).tolist():
        classes[y : y + height, x : x + width] = ARTEFACT
    before = classes.copy()
    call_fibers(TissueMap(classes, (1.0, 1.0)), fibers, (0.5, 0.5))
    assert (classes != before).any()

    monkeypatch.setattr(labels, "WINDOW_PX", 128)
    monkeypatch.setattr(processors, "_share", cores)
    by_bands = before.copy()
    call_fibers(TissueMap(by_bands, (1.0, 1.0)), fibers, (0.5, 0.5))
    assert np.array_equal(by_bands, classes), "artefacts reach less far than the halo"


def test_compressed_class_maps_are_called_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = np.full((700, 600), VESSEL, np.uint8)
    fibers = np.zeros((1400, 1200), np.int32)
    fibers[100:300, 100:300], fibers[900:1200, 700:1100] = 1, 2
    classes[0:40, 200:240] = classes[500:620, 300:600] = ARTEFACT
    classes[650:655, 5:10] = ARTEFACT
    monkeypatch.setattr(labels, "WINDOW_PX", 512)
    monkeypatch.setattr(processors, "_share", 3)
    packed = PackedLabels(classes.shape, np.uint8)
    packed[:, :] = classes
    for tissue in (packed, classes):
        call_fibers(TissueMap(tissue, (1.0, 1.0)), fibers, (0.5, 0.5))
    assert np.array_equal(packed[:, :], classes)
    assert (classes == FIBER).any()
