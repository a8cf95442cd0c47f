"""Large synthetic sections as pyramidal TIFF, for measuring speed and memory.

A block of a few mm is drawn once and mirrored over the section, so that fibers go on across its
edges. The file is written tile by tile and never held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

MPP = 0.5
TILE_PX = 512
FIBER_SCALE = 1.26
"""Fibers of the presets are drawn this much wider: 17 000 of them lie in 1 cm² of normal muscle,
as in a large adult muscle; at 1.0 they are 27 000."""

LEVEL_STEP = 4
"""Downsampling from one pyramid level to the next."""

THUMBNAIL_PX = 1500
"""The last level is no larger than this."""

Rgb = npt.NDArray[np.uint8]


def draw_block(side_um: float, stain: str = "he", preset: str = "normal", seed: int = 7) -> Rgb:
    """Draw the block that is repeated, shape (H, W, 3)."""
    from biopsy_ai.synthesis import SectionParams, synthesize_section
    from biopsy_ai.synthesis import preset as start

    tissue = start(preset)
    type1, type2 = (FIBER_SCALE * diameter for diameter in tissue.diameter_um)
    tissue = replace(tissue, diameter_um=(type1, type2))
    params = SectionParams(tissue=tissue, stain=stain, size_um=(side_um, side_um), mpp=MPP)
    return synthesize_section(params, seed).image


def section_shape(area_cm2: float) -> tuple[int, int]:
    """Return the pixels of a square section of an area."""
    side = round((area_cm2**0.5) * 1e4 / MPP)
    return side, side


def write_field(path: Path, block: Rgb, side_um: float) -> None:
    """Write a single plain field of view."""
    side = round(side_um / MPP)
    region = mirrored(block, 0, 0, side, side)
    tifffile.imwrite(path, region, photometric="rgb", compression="zlib", **_resolution(1))


def write_pyramid(path: Path, block: Rgb, shape: tuple[int, int]) -> None:
    """Write a section of `shape` pixels as tiled JPEG pyramid with its pixel size."""
    block = block[: _whole(block.shape[0]), : _whole(block.shape[1])]
    levels = [block]
    while max(shape) / LEVEL_STEP ** (len(levels) - 1) > THUMBNAIL_PX:
        levels.append(_shrink(levels[-1]))
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, content in enumerate(levels):
            downsample = LEVEL_STEP**number
            size = tuple(side // downsample for side in shape)
            options: dict[str, Any] = (
                {"subifds": len(levels) - 1} if number == 0 else {"subfiletype": 1}
            )
            file.write(
                _tiles(content, (size[0], size[1])),
                shape=(*size, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85},
                metadata=None,
                **_resolution(downsample),
                **options,
            )


def mirrored(block: Rgb, y: int, x: int, height: int, width: int) -> Rgb:
    """Cut a region out of the plane that is tiled with a block and its mirror images."""
    rows, columns = (
        np.abs((np.arange(start, start + length) + side) % (2 * side) - side + 0.5) - 0.5
        for start, length, side in ((y, height, block.shape[0]), (x, width, block.shape[1]))
    )
    return block[np.ix_(rows.astype(int), columns.astype(int))]


def _tiles(block: Rgb, shape: tuple[int, int]) -> Iterator[Rgb]:
    for y in range(0, shape[0], TILE_PX):
        for x in range(0, shape[1], TILE_PX):
            height, width = min(TILE_PX, shape[0] - y), min(TILE_PX, shape[1] - x)
            tile = np.full((TILE_PX, TILE_PX, 3), 255, dtype=np.uint8)
            tile[:height, :width] = mirrored(block, y, x, height, width)
            yield tile


def _shrink(image: Rgb) -> Rgb:
    height, width = (side // LEVEL_STEP for side in image.shape[:2])
    cells = image.reshape(height, LEVEL_STEP, width, LEVEL_STEP, 3)
    return cells.mean(axis=(1, 3)).round().astype(np.uint8)


def _whole(side: int) -> int:
    return side // LEVEL_STEP**3 * LEVEL_STEP**3


def _resolution(downsample: int) -> dict[str, Any]:
    per_cm = 1e4 / (MPP * downsample)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
