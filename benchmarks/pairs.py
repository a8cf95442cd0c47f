"""Put synthetic sections beside real ones: ``python benchmarks/pairs.py --data FOLDER``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.slides import open_slide
from biopsy_ai.synthesis import ImagingParams, SectionParams, preset, synthesize_section

FIELD_UM = 270.0
MPP = 0.5

REAL = (
    ("he_weichenchu/img_02.tif", 0.2773, None),
    ("if_fibersight/skm_rat_R7x10ta.tif", 0.922, 3),
    ("if_fibersight/psr_1.tif", 0.65, None),
)
"""Picture, pixel size (that of the picrosirius red patch is not stated; by eye), channel."""


def synthetic(kind: int) -> NDArray[np.uint8]:
    """A section of the stain and condition of `REAL`'s picture of that number."""
    tissue = [
        replace(
            preset("dystrophy"),
            endomysium_um=2.5,
            crack_um=1.6,
            internal_nuclei=0.6,
            fat=0.0,
            diameter_um=(46.0, 46.0),
            inflammation=0.02,
            nuclei_per_fiber=4.0,
            split=0.0,
        ),
        replace(
            preset("dystrophy"),
            endomysium_um=3.0,
            crack_um=1.0,
            fat=0.0,
            split=0.0,
            diameter_um=(42.0, 42.0),
            fascicle_um=420.0,
            perimysium_um=40.0,
        ),
        replace(preset("normal"), diameter_um=(40.0, 38.0), endomysium_um=2.0, crack_um=0.1),
    ][kind]
    imaging = [
        ImagingParams(fiber_variation=0.06, blur_um=0.35, stain_strength=0.95, texture=0.5),
        ImagingParams(blur_um=0.5, source_mpp=0.92, noise=0.015, background=0.01),
        ImagingParams(fiber_variation=0.03, blur_um=0.4, white=(0.85, 0.85, 0.88)),
    ][kind]
    stain = ("he", "if", "sirius_red")[kind]
    size = (FIELD_UM, FIELD_UM)
    section = synthesize_section(SectionParams(tissue, imaging, stain, size, MPP), 71 + kind)
    return _shown(section.image)


def real(data: Path, kind: int) -> NDArray[np.uint8]:
    """The real picture on the same grid."""
    name, mpp, channel = REAL[kind]
    channels = None if channel is None else {"border": channel}
    side = round(FIELD_UM / MPP)
    with open_slide(data / name, mpp=mpp, channels=channels) as slide:
        image = slide.read(0, 0, side, side, MPP)
        if channel is not None:
            return _shown(image[..., channel])
        return np.clip(image, 0, 255).astype(np.uint8)


def _shown(image: NDArray) -> NDArray[np.uint8]:
    if image.ndim == 3:
        return image
    scaled = np.clip(image / np.percentile(image, 99.5), 0, 1) * 255
    return np.repeat(scaled.astype(np.uint8)[..., None], 3, axis=2)


def main() -> None:
    """Write one picture: synthetic above, real below."""
    import cv2

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real images")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/pairs.jpg"))
    options = parser.parse_args()
    gap = np.full((round(FIELD_UM / MPP), 12, 3), 255, dtype=np.uint8)
    rows = []
    for draw in (synthetic, lambda kind: real(options.data, kind)):
        parts = [part for kind in range(len(REAL)) for part in (draw(kind), gap)]
        rows.append(np.hstack(parts[:-1]))
    between = np.full((12, rows[0].shape[1], 3), 255, dtype=np.uint8)
    picture = np.vstack([rows[0], between, rows[1]])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(options.out)


if __name__ == "__main__":
    main()
