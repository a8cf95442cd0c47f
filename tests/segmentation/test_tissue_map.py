import numpy as np

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
    classes[:, 10:] = ARTEFACT
    fibers = np.zeros((40, 40), np.int32)
    fibers[10:20, 10:30] = 7
    tissue = TissueMap(classes, (1.0, 1.0))
    call_fibers(tissue, fibers, (0.5, 0.5))
    assert (classes[5:10, 5:10] == FIBER).all()
    assert (classes[:, 10:] == ARTEFACT).all()
    assert np.count_nonzero(classes == FIBER) == 25
