"""How outlines hold when a real image was photographed, scanned or saved otherwise.

``python benchmarks/robustness.py --data FOLDER`` changes each labeled development image
(`VARIANTS`), outlines it with the network, and prints F1 at IoU 0.5 and 0.75 and the bias of the
cross-sectional area, against the same labels. ``benchmarks/datasets.py`` tells what the folder
holds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from accuracy import COMPLETED, CONVERTED, judge, true_labels
from datasets import Section, labeled_sections
from methods import Method, network_method
from numpy.typing import NDArray
from tables import markdown, number

from biopsy_ai.synthesis.imaging import as_jpeg

Pixels = NDArray[Any]


def coarser(pixels: Pixels, factor: float) -> Pixels:
    """Average areas: pixels (H, W, C) that are `factor` times as large."""
    height, width = (round(side / factor) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width, pixels.shape[2])


def scaled(pixels: Pixels, *factors: float) -> Pixels:
    """Multiply by one factor, or each channel by its own."""
    values = np.clip(np.round(pixels * np.array(factors)), 0, np.iinfo(pixels.dtype).max)
    return values.astype(pixels.dtype)


def bent(pixels: Pixels, gamma: float) -> Pixels:
    """Raise to a power; the brightest value stays."""
    top = pixels.max() if pixels.dtype != np.uint8 else 255
    return np.round(top * (pixels / top) ** gamma).astype(pixels.dtype)


def faded(pixels: Pixels, contrast: float) -> Pixels:
    """Draw values together towards the middle gray, uint8."""
    return np.clip(np.round(128 + contrast * (pixels - 128.0)), 0, 255).astype(np.uint8)


def unchanged(pixels: Pixels) -> Pixels:
    """As it is."""
    return pixels


VARIANTS: dict[str, tuple[float | None, Callable[[Pixels], Pixels], bool]] = {
    "as published": (None, unchanged, False),
    "0.8 µm/px": (0.8, unchanged, False),
    "1.0 µm/px": (1.0, unchanged, False),
    "brightness × 0.75": (None, lambda p: scaled(p, 0.75), False),
    "brightness × 1.2": (None, lambda p: scaled(p, 1.2), False),
    "gamma 0.7": (None, partial(bent, gamma=0.7), False),
    "gamma 1.4": (None, partial(bent, gamma=1.4), False),
    "1.0 µm/px, gamma 1.4": (1.0, partial(bent, gamma=1.4), False),
    "contrast × 0.6": (None, partial(faded, contrast=0.6), True),
    "warm light": (None, lambda p: scaled(p, 1.0, 0.93, 0.8), True),
    "cold light": (None, lambda p: scaled(p, 0.85, 0.95, 1.0), True),
    "JPEG quality 50": (None, partial(as_jpeg, quality=50), True),
    "JPEG quality 25": (None, partial(as_jpeg, quality=25), True),
    "1.0 µm/px, JPEG quality 50": (1.0, partial(as_jpeg, quality=50), True),
}
"""Pixel size (None: as published), change, and whether it takes color images only."""


def row(title: str, section: Section, run: Method) -> list[str]:
    """Change, outline and judge one image."""
    mpp, change, _ = VARIANTS[title]
    pixels = section.image()
    if mpp is not None:
        pixels = coarser(pixels, mpp / section.mpp)
    pixels = np.ascontiguousarray(change(pixels))
    truths = true_labels(section)
    kind = next((k for k in (COMPLETED, CONVERTED) if k in truths), "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "section.tif"
        if pixels.shape[2] == 3:
            tifffile.imwrite(path, pixels, photometric="rgb")
        else:
            planes = np.moveaxis(pixels, 2, 0)
            tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"})
        found = run(path, mpp or section.mpp, section.stain, section.channels())
    missing = section.missing if kind == COMPLETED else ()
    judged = judge(found, truths[kind], section, "keep", None, missing)
    f1 = (number(judged.at(iou).f1) for iou in (0.5, 0.75))
    return [title, *f1, number(judged.csa_bias_percent, "+.1f")]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    run = network_method(options.model, options.device)
    for section in labeled_sections(options.data):
        if section.use == "development":
            rows = [
                row(title, section, run)
                for title, (_, _, color_only) in VARIANTS.items()
                if section.border_channel is None or not color_only
            ]
            header = (section.name, "F1", "F1@0.75", "CSA bias %")
            print(f"\n{markdown(header, rows)}", flush=True)


if __name__ == "__main__":
    main()
