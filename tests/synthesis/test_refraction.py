"""Tissue without stain shows lines of bent light in watery mountants, and the truth stays."""

from __future__ import annotations

from functools import cache

import numpy as np

from biopsy_ai.synthesis import (
    ImagingParams,
    SectionParams,
    SyntheticSection,
    TissueParams,
    synthesize_section,
)
from biopsy_ai.tissue_classes import BACKGROUND, ENDOMYSIUM, FAT, PERIMYSIUM

LOOSE = TissueParams(
    diameter_um=(35.0, 35.0), endomysium_um=10.0, rounding=0.6, fat=0.2, glass=0.15, fill_gaps=True
)


@cache
def mounted(relief: float, stain: str = "sdh") -> SyntheticSection:
    imaging = ImagingParams(relief=relief, noise=0.0, blur_um=0.0, jpeg_quality=100)
    return synthesize_section(SectionParams(LOOSE, imaging, stain, (240.0, 240.0)), 4)


def test_the_truth_stays() -> None:
    plain, relief = mounted(0.0), mounted(1.0)
    np.testing.assert_array_equal(relief.labels, plain.labels)
    np.testing.assert_array_equal(relief.tissue, plain.tissue)
    np.testing.assert_array_equal(relief.nuclei_labels, plain.nuclei_labels)


def test_lines_are_gray_dark_and_bright_between_the_fibers() -> None:
    plain, relief = (mounted(r).image.astype(float) for r in (0.0, 1.0))
    change = relief - plain
    between = np.isin(mounted(0.0).tissue, (ENDOMYSIUM, PERIMYSIUM))
    assert (change[between] < -10).mean() > 0.02
    assert (change[between] > 10).mean() > 0.02
    # a factor on all colors alike, and white at most
    assert np.abs(change[between].mean(0) - change[between].mean()).max() < 2
    fibers = mounted(0.0).labels > 0
    assert change[fibers].std() < change[between].std()


def test_the_stronger_the_clearer() -> None:
    between = np.isin(mounted(0.0).tissue, (ENDOMYSIUM, PERIMYSIUM))
    spread = [mounted(r).image.mean(-1)[between].std() for r in (0.0, 0.4, 1.0)]
    assert spread[0] < spread[1] < spread[2]


def test_glass_and_fat_far_from_tissue_stay_clear() -> None:
    import cv2

    plain, relief = mounted(0.0), mounted(1.0)
    for clear in (BACKGROUND, FAT):
        where = (plain.tissue == clear).astype(np.uint8)
        inside = cv2.distanceTransform(np.pad(where, 1), cv2.DIST_L2, 3)[1:-1, 1:-1] > 16
        assert inside.any()
        np.testing.assert_array_equal(relief.image[inside], plain.image[inside])


def test_fluorescence_has_none() -> None:
    np.testing.assert_array_equal(mounted(1.0, "if").image, mounted(0.0, "if").image)
