"""Accuracy on labeled real images, as a Markdown table.

``python benchmarks/accuracy.py --data FOLDER``; ``benchmarks/datasets.py`` tells what the folder
holds. The network is the shipped model; the baseline is the classical watershed of
``benchmarks/classical.py``. Where published labels include the membrane, a second row judges by
labels that are drawn back to its inner edge, which is what the model outlines. Where they lack
fibers that were seen by eye (``benchmarks/missing_fibers.yaml``), a second row counts what is found
there neither way. Then come nuclei, and fat: of images with published nuclei and classes of fibers,
and of the tiles of ``benchmarks/tiles.yaml``; ``--parts`` chooses. With ``--synthetic`` unseen
synthetic sections of every preset and stain are judged instead, fibers only: the rest is judged by
``benchmarks/surroundings.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from datasets import Section, labeled_sections
from methods import Method, classical_method, network_method
from tables import markdown, number

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import BiopsyError
from biopsy_ai.evaluation import FiberEvaluation, evaluate_fibers, pool_evaluations
from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.evaluation.matching import Border

HEADER = (
    "image",
    "method",
    "n true",
    "n found",
    "P",
    "R",
    "F1",
    "F1@0.75",
    "mean IoU",
    "PQ",
    "AJI",
    "foreground Dice",
    "count error %",
    "CSA bias %",
    "CSA bias µm² (limits)",
    "min Feret bias µm (limits)",
    "found < 150 µm²",
)

PARTS = ("fibers", "nuclei", "fat")

PUBLISHED, CONVERTED = " (published labels)", " (labels without the membrane)"
COMPLETED = " (fibers that the labels lack left out)"

INTRODUCTIONS = {
    "development": "## Development images\n\nThe thresholds of the network were tuned on these "
    "images, and so was the baseline: expect somewhat lower values on others.",
    "train": "## Training images\n\nThe network was trained on these images.",
}

NUCLEI = """## Nuclei

Fibers with a nucleus inside against their published class, of the fibers that have one and are
matched at IoU 0.5; development images first, then those trained on."""

TILES = """## Nuclei of tiles that no model saw

Matched at IoU 0.5. The pixel size is not published: estimated from the labelled nuclei."""

FAT = """## Fat

Share of each tile in each class. Tiles that are fat hold vessels and septa too."""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--views",
        type=int,
        default=1,
        choices=[1, 2, 4],
        help="over which the network averages the maps of fibers",
    )
    parser.add_argument("--methods", default="network,classical", help="which of the two to run")
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="comma-separated; nuclei, fat: network only"
    )
    parser.add_argument("--training", action="store_true", help="training images too, apart")
    parser.add_argument("--border", choices=["keep", "ignore"], default="keep")
    parser.add_argument("--pictures", type=Path, help="write pictures of all disagreements here")
    parser.add_argument("--synthetic", action="store_true", help="judge synthetic sections instead")
    parser.add_argument("--presets", help="with --synthetic: only these, comma-separated")
    parser.add_argument("--stains", help="with --synthetic: only these, comma-separated")
    parser.add_argument(
        "--severity",
        type=float,
        default=0.5,
        help="with --synthetic: spread of staining and scanning, 0 clean .. 1 as in training",
    )
    parser.add_argument("--size-um", type=float, default=768.0, help="with --synthetic: field side")
    parser.add_argument("--seed", type=int, default=900_000, help="with --synthetic: first seed")
    options = parser.parse_args()
    if options.data is None and not options.synthetic:
        parser.error("--data FOLDER is needed, the folder of real images (or --synthetic)")
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: {', '.join(sorted(unknown))}; choose among {', '.join(PARTS)}")
    methods = _methods(options.methods.split(","), options.model, options.device, options.views)
    if options.synthetic:
        from synthetic import report

        for name, method in methods.items():
            print(f"\n## Synthetic sections, {name}\n")
            print(
                report(
                    method,
                    presets=options.presets.split(",") if options.presets else None,
                    stains=options.stains.split(",") if options.stains else None,
                    seed=options.seed,
                    size_um=options.size_um,
                    severity=options.severity,
                )
            )
        return
    sections = labeled_sections(options.data)
    uses = ("development", "train") if options.training else ("development",)
    for use in uses if "fibers" in parts else ():
        chosen = [section for section in sections if section.use == use]
        print(f"\n{INTRODUCTIONS[use]}\n")
        print(table(chosen, methods, options.border, options.pictures))
    if "network" in methods:
        for introduction, text in surroundings(options, sections, parts):
            print(f"\n{introduction}\n\n{text}", flush=True)


def surroundings(
    options: argparse.Namespace, sections: Sequence[Section], parts: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Judge nuclei and fat with the network: introductions and tables."""
    from fat import fat_table
    from nuclei import central_table, tile_table
    from readings import analysis_reader, network_reader

    if "nuclei" in parts:
        ordered = sorted(sections, key=lambda section: section.use)
        yield NUCLEI, central_table(ordered, analysis_reader(options.model, options.device))
        yield TILES, tile_table(options.data, network_reader(options.model, options.device))
    if "fat" in parts:
        yield FAT, fat_table(options.data, network_reader(options.model, options.device))


def table(
    sections: Iterable[Section],
    methods: dict[str, Method],
    border: Border = "keep",
    pictures: Path | None = None,
) -> str:
    """Run every method on every image and make a Markdown table."""
    rows = []
    groups: dict[tuple[str, str], list[FiberEvaluation]] = {}
    for section in sections:
        for name, method in methods.items():
            found = method(section.path, section.mpp, section.stain, section.channels())
            for kind, true in true_labels(section).items():
                # The pictures show the image, whose pixels are those of the published labels.
                shown = pictures / name if pictures and kind in ("", PUBLISHED) else None
                missing = section.missing if kind == COMPLETED else ()
                evaluation = judge(found, true, section, border, shown, missing)
                rows.append((section.name + kind, name, *_cells(evaluation)))
                groups.setdefault((section.stain + kind, name), []).append(evaluation)
    for (title, name), group in groups.items():
        if len(group) > 1:
            rows.append((f"all {title}", name, *_cells(pool_evaluations(group))))
    return markdown(HEADER, rows)


def true_labels(section: Section) -> dict[str, LabelField]:
    """The true labels of a section, by what the row is marked with."""
    path, sides = section.truth_path, (section.mpp, section.mpp)
    published = LabelField(path, section.truth(), sides)
    if not section.shrink_um:
        return {"": published} | ({COMPLETED: published} if section.missing else {})
    converted = LabelField(path, section.converted_truth(), (OUTLINE_MPP, OUTLINE_MPP))
    return {PUBLISHED: published, CONVERTED: converted}


def judge(
    found: LabelField,
    true: LabelField,
    section: Section,
    border: Border,
    pictures: Path | None,
    missing: Sequence[tuple[int, int]] = (),
) -> FiberEvaluation:
    """Compare outlines with the truth of a section, on the grid of the truth.

    What was found at the points of `missing`, where the truth lacks a fiber, counts neither way.
    """
    found, true = match_grids(found, true)
    here = [label for label in (found.labels[point] for point in missing) if label > 0]
    unlabeled = np.isin(found.labels, here) & (true.labels == 0) if here else None
    evaluation = evaluate_fibers(
        found.labels,
        true.labels,
        mpp=true.mpp,
        border=border,
        ignore=unlabeled,
    )
    if pictures is not None and evaluation.matching is not None:
        from pictures import to_rgb, write_disagreements

        write_disagreements(
            pictures,
            section.name.replace("/", "_"),
            to_rgb(section.image(), section.border_channel),
            found.labels,
            true.labels,
            evaluation.matching,
        )
    return evaluation


def _cells(found: FiberEvaluation) -> list[str]:
    half = found.at(0.5)
    csa, feret = found.csa_um2, found.min_feret_um
    small_found, small = found.found_by_size[0] if found.found_by_size else (0, 0)
    return [
        str(found.n_true),
        str(found.n_predicted),
        number(half.precision),
        number(half.recall),
        number(half.f1),
        number(found.at(0.75).f1),
        number(half.mean_matched_iou),
        number(half.panoptic_quality),
        number(found.aggregated_jaccard),
        number(found.foreground_dice),
        number(found.count_error_percent, "+.1f"),
        number(found.csa_bias_percent, "+.1f"),
        f"{csa.bias:+.0f} ({csa.lower:+.0f} to {csa.upper:+.0f})" if csa.n else "–",
        f"{feret.bias:+.2f} ({feret.lower:+.1f} to {feret.upper:+.1f})" if feret.n else "–",
        f"{small_found} of {small}" if small else "–",
    ]


def _methods(names: list[str], model: str, device: str, views: int) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for name in names:
        if name == "classical":
            methods[name] = classical_method()
        elif name == "network":
            try:
                methods[name] = network_method(model, device, views)
            except BiopsyError as error:
                print(f"without the network: {error}", file=sys.stderr)
        else:
            raise SystemExit(f"--methods {name}: choose network, classical or both")
    return methods


if __name__ == "__main__":
    main()
