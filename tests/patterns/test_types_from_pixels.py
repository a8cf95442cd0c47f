"""Types read from drawn sections, on the true outlines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.labels import find_boxes
from biopsy_ai.measure.angularity import size_center
from biopsy_ai.measure.fiber_stain import measure_fiber_stain
from biopsy_ai.measure.type_class import type_classes
from biopsy_ai.patterns.fiber_types import FiberTypes, type_fibers
from biopsy_ai.slides.stain_colors import estimate_white
from biopsy_ai.synthesis import SectionParams, TissueParams, synthesize_section
from biopsy_ai.synthesis.parameters import ImagingParams
from biopsy_ai.synthesis.section import SyntheticSection

MPP = 1.0
NOISY = ImagingParams(noise=0.04, fiber_variation=0.1, jpeg_quality=50, blur_um=0.8)


def draw(stain: str, share: float, imaging: ImagingParams, seed: int = 2) -> SyntheticSection:
    tissue = TissueParams(type1_share=share, diameter_um=(40.0, 42.0))
    params = SectionParams(tissue, imaging, stain, size_um=(700.0, 800.0), mpp=MPP)
    return synthesize_section(params, seed)


def tabulate(section: SyntheticSection) -> pd.DataFrame:
    from scipy.ndimage import center_of_mass

    ids, boxes = find_boxes(section.labels)
    centers = np.array(center_of_mass(section.labels > 0, section.labels, ids)) * MPP
    area = np.bincount(section.labels.ravel())[ids] * MPP**2
    height, width = section.labels.shape
    cut = (boxes[:, :2] < 2).any(axis=1) | (boxes[:, 2] > height - 2) | (boxes[:, 3] > width - 2)
    return pd.DataFrame(
        {
            "label": ids,
            "centroid_y_um": centers[:, 0],
            "centroid_x_um": centers[:, 1],
            "min_feret_um": 1.8 * np.sqrt(area / np.pi),
            "excluded": np.where(cut, "cut by the image border", ""),
        }
    )


def read_types(
    section: SyntheticSection, stain: str, image: np.ndarray | None = None
) -> tuple[pd.DataFrame, FiberTypes]:
    """Type a section; and the fibers that count, with their true type."""
    image = section.image if image is None else image
    table = tabulate(section)
    white = estimate_white(image.astype(np.float32), 255.0)
    stained = measure_fiber_stain(section.labels, (MPP, MPP), image, white=white)
    types = type_fibers(stained, table, stain)
    size = table["min_feret_um"].to_numpy()
    kept = (table["excluded"] == "").to_numpy()
    if stain == "nadh":
        center = size_center(size[kept])
        assert center is not None
        kept = kept & (size >= center.at(-2))
    counted = types.fibers.assign(true=section.fibers["type"].to_numpy())[kept]
    counted["class"] = type_classes(counted["type"])
    counted["true_class"] = np.where(counted["true"] == "I", "I", "II")
    return counted, types


def accuracy(counted: pd.DataFrame, column: str) -> float:
    """Balanced accuracy; an undetermined fiber counts as wrong."""
    right = counted["type" if column == "true" else "class"] == counted[column]
    return float(right.groupby(counted[column]).mean().mean())


def share_error(counted: pd.DataFrame) -> float:
    told = counted[counted["class"].isin(["I", "II"])]
    return float(abs((told["class"] == "I").mean() - (counted["true_class"] == "I").mean()))


@pytest.mark.parametrize(
    ("stain", "share"), [("atpase:9.4", 0.2), ("atpase:4.6", 0.45), ("atpase:4.3", 0.8)]
)
def test_atpase_of_uneven_light_and_noise(stain, share):
    section = draw(stain, share, ImagingParams(uneven_light=0.1, noise=0.03, fiber_variation=0.1))
    counted, types = read_types(section, stain)
    assert accuracy(counted, "true_class") >= 0.97
    assert share_error(counted) <= 0.02
    assert types.summary["polarity"]["agrees"]
    if stain == "atpase:4.6":
        assert accuracy(counted, "true") >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "imaging"),
    [(0.8, ImagingParams()), (0.2, NOISY), (0.45, ImagingParams(uneven_light=0.15))],
    ids=["clean", "noisy", "uneven"],
)
@pytest.mark.parametrize("stain", ["atpase:9.4", "atpase:4.6", "atpase:4.3"])
def test_atpase_at_every_share(stain, share, imaging):
    counted, _ = read_types(draw(stain, share, imaging), stain)
    assert accuracy(counted, "true_class") >= 0.97
    assert share_error(counted) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.45, 0.8])
@pytest.mark.parametrize("stain", ["nadh", "sdh", "cox"])
def test_stains_of_mitochondria(stain, share):
    counted, types = read_types(draw(stain, share, ImagingParams()), stain)
    if not types.summary["assessable"] and stain == "cox":
        return  # IIA is nearly as dark as type I in some: nothing is said
    assert types.summary["assessable"]
    assert accuracy(counted, "true_class") >= 0.95
    assert share_error(counted) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("stain", ["nadh", "cox"])
def test_noise_makes_stains_of_mitochondria_silent_rather_than_wrong(stain, seed):
    noisy = ImagingParams(noise=0.04, fiber_variation=0.12, jpeg_quality=50, blur_um=0.8)
    counted, types = read_types(draw(stain, 0.2, noisy, seed), stain)
    assert not types.summary["assessable"] or share_error(counted) <= 0.05


def test_light_that_falls_by_30_percent_across_the_section():
    section = draw("atpase:9.4", 0.45, ImagingParams())
    fall = np.linspace(1.0, 0.7, section.image.shape[1])
    image = (section.image * fall[None, :, None]).astype(np.uint8)
    counted, types = read_types(section, "atpase:9.4", image)
    assert types.summary["model"]["od"]["order_of_field"] >= 1
    assert accuracy(counted, "true_class") >= 0.97
    assert share_error(counted) <= 0.02


def test_the_same_section_read_with_the_wrong_ph_is_mirrored():
    section = draw("atpase:4.3", 0.3, ImagingParams())
    right, _ = read_types(section, "atpase:4.3")
    wrong, _ = read_types(section, "atpase:9.4")
    assert accuracy(right, "true_class") > 0.97
    # two levels look alike either way: only other stains or the border of fascicles can tell
    assert accuracy(wrong, "true_class") < 0.03


@pytest.mark.parametrize("channels", [("border", "I", "IIA", "IIX"), ("I", "IIX"), ("border", "I")])
def test_immunofluorescence_by_any_of_its_channels(channels):
    tissue = TissueParams(type1_share=0.4, diameter_um=(40.0, 42.0))
    params = SectionParams(
        tissue, ImagingParams(), "if", size_um=(700.0, 800.0), mpp=MPP, channels=channels
    )
    section = synthesize_section(params, 4)
    table = tabulate(section)
    shown = {name: number for number, name in enumerate(channels) if name != "border"}
    image = section.image
    stained = measure_fiber_stain(section.labels, (MPP, MPP), image, channels=shown)
    types = type_fibers(stained, table, "if").fibers["type"].to_numpy()
    true = section.fibers["type"].to_numpy()
    if len(shown) == 1:
        true = np.where(true == "I", "I", "II")
    kept = (table["excluded"] == "").to_numpy()
    right = pd.Series(types == true)[kept].groupby(true[kept]).mean()
    assert right.mean() >= 0.97
