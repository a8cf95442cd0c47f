"""Where outlines lie against the edge that the picture shows, in H&E: who is right about sizes.

``python benchmarks/outline_edges.py --data FOLDER`` follows the optical density across the free
borders of each fiber, from its inside to the gap beside it. The edge is where it has fallen half of
the way. Printed is how far outside of it the network's outlines and the published labels lie,
median over the fibers, and by what share of their area that makes the fibers larger.
``benchmarks/datasets.py`` tells what the folder holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from datasets import Section, labeled_sections
from methods import Method, network_method
from numpy.typing import NDArray
from tables import markdown, number

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.evaluation.matching import match_fibers
from biopsy_ai.slides import open_slide
from biopsy_ai.slides.stain_colors import optical_densities

INSIDE_PX, OUTSIDE_PX = 9, 6
"""How far the profile reaches to either side of an outline, pixels of 0.5 µm. [default]"""

PLATEAU_PX = 4
"""The innermost pixels of it, which show the sarcoplasm. [default]"""

FREE_PX = 3
"""A border is free where any other fiber is farther away than this, pixels. [default]"""

LEAST_PX = 7
"""Pixels that each step of a profile must have. [default]"""

MARGIN_PX = 6
"""Pixels at the border of the image that do not count."""


def main() -> None:
    """Parse, outline, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of labeled real images")
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    options = parser.parse_args()
    method = network_method(options.model)
    rows = [row(s, method) for s in labeled_sections(options.data) if s.border_channel is None]
    header = ("image", "use", "fibers", "network, µm outside", "area %", "labels, µm outside")
    print(markdown((*header, "area %"), rows))


def row(section: Section, method: Method) -> list[str]:
    """Offsets of one image."""
    found = method(section.path, section.mpp, section.stain, section.channels()).labels
    true = section.converted_truth()
    with open_slide(section.path, mpp=section.mpp) as slide:
        picture = slide.read(0, 0, *true.shape, OUTLINE_MPP)
    density = optical_densities(picture, 255)[..., 1]
    ours, theirs = edge_offsets(density, np.asarray(found), true)
    cells = [section.name, section.use, str(len(ours))]
    for offsets in (ours, theirs):
        cells += [number(float(np.median(part)), "+.2f") for part in offsets.T]
    return cells


def edge_offsets(
    density: NDArray[np.float32], found: NDArray[np.int32], true: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare both outlines of each fiber with its edge.

    Parameters
    ----------
    density
        (H, W), higher inside fibers than between them, pixels of `OUTLINE_MPP`.
    found, true
        (H, W) labels.

    Returns
    -------
    found, true : (n, 2) ndarray of float
        Of the fibers that both hold and that have free borders: how far the outline lies outside
        of the edge, µm, and how much larger that makes the area, percent.
    """
    offsets: list[tuple[float, ...]] = []
    for a, b in match_fibers(found, true).pairs:
        beside = ((found > 0) & (found != a)) | ((true > 0) & (true != b))
        away = cv2.distanceTransform(np.uint8(1) - beside.view(np.uint8), cv2.DIST_L2, 5)
        usable = away > FREE_PX
        usable[:MARGIN_PX] = usable[-MARGIN_PX:] = False
        usable[:, :MARGIN_PX] = usable[:, -MARGIN_PX:] = False
        both = [_offset(density, found == a, usable), _offset(density, true == b, usable)]
        if np.isfinite(both).all():
            offsets.append(tuple(np.ravel(both)))
    table = np.array(offsets).reshape(-1, 4)
    return table[:, :2], table[:, 2:]


def _offset(
    density: NDArray[np.float32], mask: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> tuple[float, float]:
    """How far a mask reaches beyond its edge, µm and percent of its area; NaN if it shows none."""
    inside = np.pad(mask.view(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth -= cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    # from the centers of pixels to the line between them
    depth -= 0.5 * np.sign(depth)
    profile = []
    for step in range(-OUTSIDE_PX, INSIDE_PX):
        there = density[usable & (depth > step) & (depth <= step + 1)]
        profile.append(float(np.median(there)) if len(there) >= LEAST_PX else np.nan)
    steps = np.array(profile)
    half = 0.5 * (np.median(steps[-PLATEAU_PX:]) + steps[:OUTSIDE_PX].min())
    rising = np.flatnonzero((steps[:-1] < half) & (steps[1:] >= half))
    if np.isnan(steps).any() or len(rising) == 0:
        return np.nan, np.nan
    last = rising[-1]
    at = last + (half - steps[last]) / (steps[last + 1] - steps[last]) + 0.5 - OUTSIDE_PX
    perimeter = np.pi * 2 * np.sqrt(np.count_nonzero(mask) / np.pi)
    return at * OUTLINE_MPP, 100 * at * perimeter / np.count_nonzero(mask)


if __name__ == "__main__":
    main()
