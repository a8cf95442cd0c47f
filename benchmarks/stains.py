"""Recognising stains: fit the colors on synthetic sections, and test on unseen and real ones.

``python benchmarks/stains.py`` prints the confusion table of synthetic sections never fitted on;
``--data FOLDER`` adds the real images; ``--fit`` fits the colors again and writes
``biopsy_ai/slides/stain_colors.yaml``, as is needed when the synthetic stains change. The stains of
muscle are fitted on no real image; what a violet picture without eosin looks like, which is none of
them, is taken from every second one of ``nuclei_dsb2018``, and the others are called here.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import DATA
from numpy.typing import NDArray
from tables import markdown

from biopsy_ai.slides import open_slide, stain_colors
from biopsy_ai.slides.stain_colors import (
    FEATURES,
    StainColors,
    color_features,
    estimate_white,
    fit_stain_colors,
    optical_densities,
    write_stain_colors,
)
from biopsy_ai.slides.stain_detection import STAIN_OF, StainCall, detect_stain, recognise_stain
from biopsy_ai.synthesis import (
    STAINS,
    SectionParams,
    random_imaging,
    random_tissue,
    synthesize_section,
)
from biopsy_ai.synthesis.layout import build_geometry

FIT_SEED, TEST_SEED = 100_000, 900_000
"""First seeds; training draws others."""
N_FIT, N_TEST = 40, 20
"""Layouts that are drawn, each in every stain."""
SIZE_UM, DRAWN_MPP, SEEN_MPP = 240.0, 2.0, 4.0
"""Side of a field, pixels it is drawn with, and those it is seen with, as a thumbnail, µm."""
SEVERITY = (0.2, 1.0)
UNKNOWN_MPP = 0.5
"""Taken for real images of unknown pixel size; only the size of the thumbnail follows from it."""
WHITE = {"if": 65535.0}
VIOLET = "nuclei_dsb2018/*_img.png"
"""Violet pictures without eosin; the 1st, 3rd, ... are fitted on."""
VIOLET_GROUND = 0.09
"""The median share of blue light in what is absorbed lies below where the ground is violet, too,
and above where it is clear. [default]"""


def draw_pictures(seed: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Draw one layout in every stain, as thumbnails show it: stain and (rows, columns, channels).

    Tissue, defects and their severity follow from the seed.
    """
    rng = np.random.default_rng(seed)
    tissue = random_tissue(rng)
    size = (SIZE_UM, SIZE_UM)
    geometry = build_geometry(tissue, size, rng)
    severity = float(rng.uniform(*SEVERITY))
    for stain in STAINS:
        imaging = random_imaging(rng, stain, severity=severity)
        params = SectionParams(tissue, imaging, stain, size, DRAWN_MPP)
        image = synthesize_section(params, rng, geometry=geometry).image
        image = image.reshape(*image.shape[:2], -1)
        step = round(SEEN_MPP / DRAWN_MPP)
        rows, columns = (n // step for n in image.shape[:2])
        squares = image[: rows * step, : columns * step].reshape(rows, step, columns, step, -1)
        yield stain, squares.mean(axis=(1, 3), dtype=np.float32)


def violet_pictures(folder: Path) -> dict[str, list[NDArray[np.float64]]]:
    """Color features of violet pictures to fit on, by whether their ground is violet."""
    found = defaultdict(list)
    for path in sorted(folder.glob(VIOLET))[::2]:
        with open_slide(path, mpp=UNKNOWN_MPP) as slide:
            image, _ = slide.thumbnail(SEEN_MPP)
        features = color_features(optical_densities(image, estimate_white(image, 255.0)))
        if features is not None:
            on_violet = features[FEATURES.index("blue_share_p50")] < VIOLET_GROUND
            found["violet_on_violet" if on_violet else "violet"].append(features)
    return dict(found)


def fit(seeds: Iterable[int], folder: Path) -> StainColors:
    """Fit the colors of all bright-field stains on synthetic sections, and those of no stain."""
    samples = defaultdict(list)
    seeds = list(seeds)
    for seed in seeds:
        for stain, image in draw_pictures(seed):
            if stain == "if":
                continue
            features = color_features(optical_densities(image, estimate_white(image, 255.0)))
            if features is not None:
                samples[stain].append(features)
    return fit_stain_colors(
        samples,
        {
            "made_by": "benchmarks/stains.py --fit",
            "sections": "biopsy_ai.synthesis, random tissue, severity 0.2 to 1",
            "seeds": [min(seeds), max(seeds)],
            "violet": f"{VIOLET}, every second picture",
            "mark": "D",
        },
        violet_pictures(folder),
    )


def synthetic_calls(
    seeds: Iterable[int], colors: StainColors | None = None
) -> list[tuple[str, StainCall]]:
    """What synthetic sections are called: their drawn stain and the call."""
    calls = []
    for seed in seeds:
        for stain, image in draw_pictures(seed):
            white, is_rgb = WHITE.get(stain, 255.0), stain != "if"
            calls.append((stain, recognise_stain(image, white=white, is_rgb=is_rgb, colors=colors)))
    return calls


def confusion(calls: Iterable[tuple[str, StainCall]]) -> str:
    """Markdown table: drawn stain against what it was called, and the mean confidence."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    confidence = defaultdict(list)
    for stain, call in calls:
        found[stain][call.stain] += 1
        confidence[stain].append(call.confidence)
    names = [*dict.fromkeys(STAIN_OF.values()), "if", "unknown"]
    rows = (
        [stain, *(str(found[stain][name] or "") for name in names), f"{np.mean(values):.2f}"]
        for stain, values in confidence.items()
    )
    return markdown(("drawn", *names, "mean confidence"), rows)


def real_calls(folder: Path) -> Iterator[tuple[str, str, StainCall]]:
    """What real images are called: file, the stain that their list names, and the call."""
    for row in pd.read_csv(folder / "manifest.csv").itertuples():
        size = pd.to_numeric(str(row.mpp).split(" ")[0], errors="coerce")
        paths = sorted(folder.glob(str(row.file)))
        for path in paths[1::2] if row.file == VIOLET else paths:
            if not path.name.endswith("_fibers.tif"):
                with open_slide(path, mpp=UNKNOWN_MPP if np.isnan(size) else size) as slide:
                    yield str(path.relative_to(folder)), str(row.stain), detect_stain(slide)


def main() -> None:
    """Fit if asked to, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="needs --data")
    parser.add_argument("--data", type=Path, help=f"folder of real images, such as {DATA}")
    arguments = parser.parse_args()
    if arguments.fit:
        if arguments.data is None:
            parser.error("--fit needs --data: violet pictures are real ones")
        import biopsy_ai.slides

        colors = fit(range(FIT_SEED, FIT_SEED + N_FIT), arguments.data)
        path = Path(biopsy_ai.slides.__file__).with_name("stain_colors.yaml")
        path.write_text(write_stain_colors(colors), encoding="utf-8")
        stain_colors.stain_colors.cache_clear()
    print(confusion(synthetic_calls(range(TEST_SEED, TEST_SEED + N_TEST))))
    if arguments.data is not None:
        rows = (
            [file, stain, call.stain, f"{call.confidence:.2f}", call.reason]
            for file, stain, call in real_calls(arguments.data)
        )
        print()
        print(markdown(("image", "listed as", "called", "confidence", "seen"), rows))


if __name__ == "__main__":
    main()
