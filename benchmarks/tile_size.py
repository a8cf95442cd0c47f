"""How many fibers are the same whatever the size of the tiles that the network works in.

``python benchmarks/tile_size.py`` outlines synthetic sections, as one tile and in smaller ones, and
prints the share of fibers that match at IoU 0.9. ``--image FILE --mpp 1.0 --stain he`` adds a real
image.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from synthetic import draw_section, write_picture
from tables import markdown, share

from biopsy_ai import load_model
from biopsy_ai.config import make_config
from biopsy_ai.evaluation.matching import match_fibers
from biopsy_ai.segmentation import segment_fibers
from biopsy_ai.segmentation.model import Model
from biopsy_ai.slides import open_slide

ONE_TILE = 8192
SMALLER = (2048, 1024, 512)
SAME_IOU = 0.9

PRESETS = ("normal", "dystrophy", "inflammatory")
SIZE_UM = 1500.0
FIRST_SEED = 940_000


def main() -> None:
    """Parse, outline, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--image", type=Path, help="a real image, of at most 8192 px of 0.5 µm")
    parser.add_argument("--mpp", type=float, help="its pixel size, µm")
    parser.add_argument("--stain", default="he", help="its stain")
    options = parser.parse_args()
    model = load_model(options.model)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(PRESETS):
            section = draw_section(name, "he", FIRST_SEED + number, SIZE_UM, 0.5)
            path = Path(folder) / f"{name}.tif"
            write_picture(path, section)
            rows.append(row(f"{name}, drawn", path, None, "he", model))
    if options.image is not None:
        rows.append(row(options.image.stem, options.image, options.mpp, options.stain, model))
    print(markdown(("section", "fibers", *(f"{side} px" for side in SMALLER)), rows))


def row(title: str, path: Path, mpp: float | None, stain: str, model: Model) -> list[str]:
    """Compare the fibers of smaller tiles with those of one."""
    whole = outline(path, mpp, stain, model, ONE_TILE)
    cells = [title, str(whole.max())]
    for side in SMALLER:
        tiled = outline(path, mpp, stain, model, side)
        same = len(match_fibers(tiled, whole, iou_threshold=SAME_IOU).pairs)
        cells.append(share(same / max(whole.max(), tiled.max(), 1)))
    return cells


def outline(
    path: Path, mpp: float | None, stain: str, model: Model, tile_px: int
) -> NDArray[np.int32]:
    """Label image of the fibers, with tiles of one size."""
    config = make_config(stain=stain, mpp=mpp, segmentation={"tile_px": tile_px})
    with open_slide(path, mpp=mpp) as slide:
        return np.asarray(segment_fibers(slide, config, model=model).labels[:, :])


if __name__ == "__main__":
    main()
