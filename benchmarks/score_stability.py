"""How far the scores move when the same section is photographed otherwise.

``python benchmarks/score_stability.py`` analyzes the bundled sample slides as they are, turned,
mirrored, as JPEG of quality 80, with stain a tenth weaker and stronger, and at 0.35 µm per pixel,
and prints the largest move of each score beside the 90 % interval of the slide as it is. Images
named with ``--image PATH --mpp NUMBER --stain STAIN`` are tried in place of the samples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from tables import markdown

from biopsy_ai import AnalysisConfig, analyze
from biopsy_ai.resources import sample_slides
from biopsy_ai.score.evidence import CHANGES
from biopsy_ai.segmentation import load_model
from biopsy_ai.serial.sample_sheet import read_sample_sheet
from biopsy_ai.slides import open_slide
from biopsy_ai.synthesis.imaging import as_jpeg

Picture = NDArray[np.uint8]
FINE_MPP = 0.35


def stronger(picture: Picture, factor: float) -> Picture:
    """Multiply the optical density."""
    density = -np.log(np.maximum(picture.astype(float), 1.0) / 255.0)
    return np.rint(255.0 * np.exp(-factor * density)).astype(np.uint8)


VARIANTS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "turned by 90°": lambda picture: np.ascontiguousarray(np.rot90(picture)),
    "turned by 180°": lambda picture: np.ascontiguousarray(np.rot90(picture, 2)),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "JPEG 80": lambda picture: as_jpeg(picture, 80),
    "stain × 0.9": lambda picture: stronger(picture, 0.9),
    "stain × 1.1": lambda picture: stronger(picture, 1.1),
    f"{FINE_MPP} µm/px": lambda picture: picture,
}


def main() -> None:
    """Parse, vary, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="in place of the samples; with --mpp, --stain")
    parser.add_argument("--mpp", type=float, default=0.5)
    parser.add_argument("--stain", default="he")
    options = parser.parse_args()
    if options.image is not None:
        cases = [(options.image, AnalysisConfig(mpp=options.mpp, stain=options.stain))]
    else:
        sheet = read_sample_sheet(sample_slides()[0].parent / "sections.csv")
        cases = [(row.path, row.config(AnalysisConfig())) for row in sheet.rows]
    rows = []
    for path, config in cases:
        print(path.name, file=sys.stderr, flush=True)
        rows += try_slide(path, config)
    names = ["slide", "score", "as it is", "90 % interval", "largest move", "by", "within"]
    print(markdown(names, rows))


def try_slide(path: Path, config: AnalysisConfig) -> list[list[str]]:
    """Score all variants of a slide, and compare them with the slide as it is."""
    with open_slide(path, mpp=config.mpp) as slide:
        mpp = max(slide.mpp)
        picture = np.asarray(slide.read_region(0, 0, 0, *slide.shape))[..., :3]
    found = {name: score(change(picture), mpp, config, name) for name, change in VARIANTS.items()}
    first = found["as it is"]
    rows = []
    for change in CHANGES:
        low, high = first[change]["low"], first[change]["high"]
        moves = {name: got[change]["value"] - first[change]["value"] for name, got in found.items()}
        most = max(moves, key=lambda name: abs(moves[name]))
        inside = all(low <= got[change]["value"] <= high for got in found.values())
        small = all(abs(move) < high - low for move in moves.values())
        verdicts = {got["verdict"] for got in found.values()}
        rows.append(
            [
                path.stem,
                change,
                f"{first[change]['value']:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{moves[most]:+.1f}",
                most,
                ("inside the interval" if inside else "less than its width" if small else "no")
                + ("" if len(verdicts) == 1 else f"; verdicts {', '.join(sorted(verdicts))}"),
            ]
        )
    return rows


def score(picture: Picture, mpp: float, config: AnalysisConfig, name: str) -> dict[str, Any]:
    """Write a picture as TIFF, analyze it from there, and give its score."""
    if name.endswith("µm/px"):
        size = tuple(round(side * mpp / FINE_MPP) for side in picture.shape[1::-1])
        picture, mpp = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), FINE_MPP
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        tifffile.imwrite(path, picture)
        settings = config.model_copy(update={"mpp": mpp})
        with analyze(path, settings, model=load_model(config.model)) as analysis:
            found: dict[str, Any] = analysis.summary["score"]
    return found


if __name__ == "__main__":
    main()
