"""The classical baseline: threshold, distance transform, watershed.

Bright field is separated into stains by color deconvolution, immunofluorescence is read from the
channel of the fiber border. ``python benchmarks/classical.py --data FOLDER`` searches for the best
parameters on the development images and writes what it found to ``classical.yaml``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from datasets import Section, labeled_sections
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu
from skimage.measure import regionprops_table
from skimage.morphology import reconstruction, remove_small_holes, remove_small_objects
from skimage.segmentation import expand_labels, watershed
from skimage.transform import resize

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.evaluation import evaluate_fibers, pool_evaluations
from biopsy_ai.evaluation.grids import to_grid

PARAMETERS = Path(__file__).with_suffix(".yaml")

Labels = npt.NDArray[np.int32]
Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassicalParameters:
    """What the baseline does; lengths in µm, areas in µm².

    Attributes
    ----------
    feature
        ``eosin`` (color deconvolution, Ruifrok and Johnston 2001), ``optical_density`` (mean of
        the colors) or ``green`` (that of green): high in fibers. ``border``: the channel of the
        fiber border, low in fibers; ``root_border``: its square root.
    smoothing_um
        Sigma of the Gaussian that the feature is smoothed with.
    threshold
        Global threshold, in units of Otsu's.
    local_threshold
        Local threshold, in units of the mean within `local_um`; 0 switches it off.
    opening_um
        Radius of the opening that cuts thin bridges.
    hole_um2
        Holes up to this area are filled (nuclei, vacuoles).
    h_um
        A fiber center rises by this much above the saddle to its neighbor in the distance map.
    max_component_um2
        Connected foreground of a larger area is taken for the empty space around the fibers.
    min_enclosure
        Least share of the outline that does not run along other foreground.
    expand_um
        Fibers are grown by this much in the end.
    """

    feature: Literal["eosin", "optical_density", "green", "border", "root_border"] = "eosin"
    smoothing_um: float = 1.0
    threshold: float = 1.0
    local_threshold: float = 0.0
    local_um: float = 25.0
    opening_um: float = 1.0
    hole_um2: float = 150.0
    h_um: float = 2.0
    min_area_um2: float = 60.0
    max_area_um2: float = 20000.0
    max_component_um2: float = math.inf
    min_solidity: float = 0.0
    min_enclosure: float = 0.0
    expand_um: float = 0.0


def segment_classical(
    image: npt.NDArray[Any],
    mpp: float,
    parameters: ClassicalParameters,
    *,
    border_channel: int | None = None,
) -> Labels:
    """Outline fibers without learning.

    Parameters
    ----------
    image
        Shape (H, W, C): RGB, or fluorescence with `border_channel`.
    mpp
        Pixel size, µm.
    parameters
        See `ClassicalParameters`.
    border_channel
        Number of the channel that shows the fiber border; None for bright field.

    Returns
    -------
    ndarray of int32
        Labels on the grid of `OUTLINE_MPP`.
    """
    feature = feature_map(image, mpp, parameters.feature, border_channel)
    return segment_feature(feature, parameters)


def feature_map(
    image: npt.NDArray[Any], mpp: float, feature: str, border_channel: int | None
) -> Map:
    """Compute the map that is thresholded, at `OUTLINE_MPP`; positive where fibers are."""
    shape = tuple(max(1, round(side * mpp / OUTLINE_MPP)) for side in image.shape[:2])
    if border_channel is not None:
        border = _resize(image[..., border_channel], shape)
        low, high = np.percentile(border, [1, 99.8])
        border = np.clip((border - low) / max(high - low, 1e-6), 0, 1)
        return np.sqrt(border) if feature == "root_border" else border
    rgb = np.clip(_resize(image, (*shape, 3)), 0, 255)
    if feature == "eosin":
        return rgb2hed(rgb / 255)[..., 1].astype(np.float32)
    density = -np.log10((rgb + 1) / 256)
    return density[..., 1] if feature == "green" else density.mean(axis=-1)


def segment_feature(feature: Map, p: ClassicalParameters) -> Labels:
    """Outline fibers in a feature map; see `segment_classical`."""
    inside = _threshold(feature, p)
    inside = _clean(inside, p)
    distance = ndimage.distance_transform_edt(inside, sampling=OUTLINE_MPP)
    distance = ndimage.gaussian_filter(distance, 1 / OUTLINE_MPP) * inside
    # Maxima are broad: every second pixel finds them in a quarter of the time.
    markers = np.zeros(inside.shape, dtype=np.int32)
    markers[::2, ::2] = _markers(distance[::2, ::2], p.h_um)
    labels = watershed(-distance, markers, mask=inside)
    labels = _filter(labels.astype(np.int32), p)
    if p.expand_um:
        labels = expand_labels(labels, p.expand_um / OUTLINE_MPP)
    return labels


def load_parameters(path: Path = PARAMETERS) -> dict[str, ClassicalParameters]:
    """Read the parameters found by `main`, by kind: ``he`` and ``if``."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {kind: ClassicalParameters(**entry["parameters"]) for kind, entry in content.items()}


def parameters_for(section_stain: str) -> ClassicalParameters:
    """Return the tuned parameters for a stain."""
    return load_parameters()["if" if section_stain == "if" else "he"]


def _resize(image: npt.NDArray[Any], shape: tuple[int, ...]) -> Map:
    return resize(image.astype(np.float32), shape, order=1, anti_aliasing=True)


def _threshold(feature: Map, p: ClassicalParameters) -> npt.NDArray[np.bool_]:
    smooth = ndimage.gaussian_filter(feature, p.smoothing_um / OUTLINE_MPP)
    level = p.threshold * threshold_otsu(smooth)
    local = ndimage.uniform_filter(smooth, 2 * round(p.local_um / OUTLINE_MPP) + 1)
    if p.feature in ("border", "root_border"):
        inside = smooth < level
        return inside & (smooth < p.local_threshold * local) if p.local_threshold else inside
    return (smooth > level) & (smooth > p.local_threshold * local)


def _clean(inside: npt.NDArray[np.bool_], p: ClassicalParameters) -> npt.NDArray[np.bool_]:
    pixel = OUTLINE_MPP**2
    inside = remove_small_holes(inside, max_size=round(p.hole_um2 / pixel))
    if p.opening_um:
        # By distance: a disc of any radius at the same cost.
        radius = p.opening_um / OUTLINE_MPP
        core = ndimage.distance_transform_edt(inside) > radius
        inside = ndimage.distance_transform_edt(~core) <= radius
    inside = remove_small_objects(inside, max_size=round(p.min_area_um2 / pixel))
    if math.isfinite(p.max_component_um2):
        component, _ = ndimage.label(inside)
        small = np.bincount(component.ravel()) * pixel <= p.max_component_um2
        inside = inside & small[component]
    return inside


def _markers(distance: npt.NDArray[np.float64], h_um: float) -> Labels:
    """Label the maxima of the distance map that rise by more than `h_um` (h-maxima)."""
    if h_um <= 0:
        raise ValueError("h_um must be above 0")
    top = distance - reconstruction(np.maximum(distance - h_um, 0), distance)
    # A maximum rises by exactly h above what is reconstructed below it, one lower than h by all
    # of its height.
    top_height = np.minimum(h_um, distance)
    return ndimage.label((top >= top_height - 1e-6) & (distance > 0), np.ones((3, 3)))[0]


def _filter(labels: Labels, p: ClassicalParameters) -> Labels:
    if labels.max() == 0:
        return labels
    wanted = ("label", "area", "solidity") if p.min_solidity else ("label", "area")
    table = regionprops_table(labels, properties=wanted)
    area = table["area"] * OUTLINE_MPP**2
    good = (area >= p.min_area_um2) & (area <= p.max_area_um2)
    if p.min_solidity:
        good &= table["solidity"] >= p.min_solidity
    if p.min_enclosure:
        good &= _enclosure(labels)[table["label"]] >= p.min_enclosure
    number = np.zeros(labels.max() + 1, dtype=np.int32)
    number[table["label"][good]] = np.arange(1, good.sum() + 1)
    return number[labels]


def _enclosure(labels: Labels) -> npt.NDArray[np.float64]:
    """Share of the outline of each label that faces background; the image border counts."""
    padded = np.pad(labels, 1)
    faces = np.zeros(labels.max() + 1)
    free = np.zeros_like(faces)
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = np.roll(padded, shift, axis=(0, 1))[1:-1, 1:-1]
        edge = (labels > 0) & (other != labels)
        faces += np.bincount(labels[edge], minlength=len(faces))
        free += np.bincount(labels[edge & (other == 0)], minlength=len(faces))
    return free / np.maximum(faces, 1)


STEPS: dict[str, list[dict[str, list[Any]]]] = {
    "he": [
        {
            "feature": ["eosin", "optical_density", "green"],
            "smoothing_um": [0.7, 1.5],
            "threshold": [0.7, 0.9, 1.1],
            "local_threshold": [0.0, 0.8, 0.95, 1.05],
            "h_um": [1.0, 2.5],
        },
        {
            "threshold": [-0.1, 0.0, 0.1],
            "local_threshold": [-0.06, 0.0, 0.06],
            "opening_um": [0.0, 1.0, 2.0],
            "h_um": [-0.5, 0.0, 0.5],
        },
        {
            "min_area_um2": [30.0, 80.0, 150.0],
            "min_solidity": [0.0, 0.8, 0.9],
            "min_enclosure": [0.0, 0.5, 0.75],
            "expand_um": [0.0, 0.5, 1.0],
        },
    ],
}
STEPS["if"] = [
    {
        "feature": ["border", "root_border"],
        "smoothing_um": [0.7, 1.5],
        "threshold": [0.5, 0.7, 0.9, 1.1],
        "local_threshold": [0.0, 0.8, 1.0],
        "h_um": [1.0, 2.5],
        "max_component_um2": [math.inf, 25000.0],
        "expand_um": [2.0],
    },
    STEPS["he"][1],
    {
        "min_area_um2": [30.0, 80.0, 150.0],
        "min_solidity": [0.0, 0.8, 0.9],
        "max_component_um2": [math.inf, 15000.0, 40000.0],
        "expand_um": [1.0, 2.0, 3.0, 4.0],
    },
]
"""The search: grids one after the other, each around the best of the one before. In the second,
threshold values are added to those found; all others replace."""

_ADDED = {"threshold", "local_threshold", "h_um"}


def tune(sections: Iterable[Section], steps: list[dict[str, list[Any]]]) -> dict[str, Any]:
    """Search for the parameters with the best pooled F1 at IoU 0.5 (then 0.75)."""
    images = [(section, section.image(), section.truth()) for section in sections]

    @cache
    def feature(number: int, name: str) -> Map:
        section, image, _ = images[number]
        return feature_map(image, section.mpp, name, section.border_channel)

    def score(p: ClassicalParameters) -> tuple[float, float]:
        parts = []
        for number, (_, _, truth) in enumerate(images):
            labels = to_grid(segment_feature(feature(number, p.feature), p), truth.shape)
            parts.append(evaluate_fibers(labels, truth, thresholds=(0.5, 0.75), shapes=False))
        pooled = pool_evaluations(parts)
        return round(pooled.at(0.5).f1, 4), round(pooled.at(0.75).f1, 4)

    best, best_score, tried = ClassicalParameters(), (-1.0, -1.0), 0
    for position, step in enumerate(steps):
        start = best
        for values in itertools.product(*step.values()):
            changes = dict(zip(step, values, strict=True))
            if position == 1:
                changes = {
                    name: getattr(start, name) + value if name in _ADDED else value
                    for name, value in changes.items()
                }
                # A local threshold that was off stays off.
                if start.local_threshold == 0:
                    changes["local_threshold"] = 0.0
            candidate = replace(start, **changes)
            found = score(candidate)
            tried += 1
            if found > best_score:
                best, best_score = candidate, found
        print(f"  step {position + 1}: F1 {best_score[0]:.3f} / {best_score[1]:.3f}", flush=True)
    return {
        "parameters": {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(best).items()
        },
        "found_with": "python benchmarks/classical.py",
        "found_on": [section.name for section, _, _ in images],
        "combinations_tried": tried,
        "f1_50": best_score[0],
        "f1_75": best_score[1],
    }


def main() -> None:
    """Tune on the development images and write `PARAMETERS`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real images")
    parser.add_argument("--out", type=Path, default=PARAMETERS)
    options = parser.parse_args()
    sections = [s for s in labeled_sections(options.data) if s.use == "development"]
    result = {}
    for kind, steps in STEPS.items():
        start = time.perf_counter()
        chosen = [section for section in sections if (section.stain == "if") == (kind == "if")]
        print(f"{kind}: {', '.join(section.name for section in chosen)}")
        result[kind] = tune(chosen, steps)
        print(f"  {time.perf_counter() - start:.0f} s")
    options.out.write_text(yaml.safe_dump(result, sort_keys=False), encoding="utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
