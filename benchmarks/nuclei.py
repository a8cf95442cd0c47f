"""Nuclei of real images: found, outlined, and in the middle of their fibers or not."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile
import yaml
from datasets import Section
from numpy.typing import NDArray
from readings import Reader
from tables import markdown, number, share

from biopsy_ai.evaluation import FiberEvaluation, evaluate_fibers, match_fibers, pool_evaluations
from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.formats.imagej import read_roiset

TILES = Path(__file__).with_name("tiles.yaml")
"""Lists of real tiles with nuclei and with fat."""

CENTRAL = "Abnormal"
"""What the names of published fibers with a nucleus inside end in."""

AGREEMENT_GOAL, DICE_GOAL, F1_GOAL = 0.85, 0.75, 0.70


@dataclass(frozen=True)
class CentralFibers:
    """One image with published classes of its fibers.

    Attributes
    ----------
    name, use
        Of the image.
    mask
        Agreement of the mask of all nuclei.
    fibers
        One row per matched fiber with a published class: ``published``, and what was found:
        ``central`` (one in the middle) and ``internal`` (any that lies inside).
    n_published
        Fibers with a published class.
    """

    name: str
    use: str
    mask: FiberEvaluation
    fibers: pd.DataFrame
    n_published: int


def central_table(sections: Iterable[Section], reader: Reader) -> str:
    """Markdown table of the images whose folders hold nuclei and classes of the fibers."""
    found = list(central_fibers(sections, reader))
    groups = [(image.name, [image]) for image in found]
    groups += [
        (f"all {use}", [image for image in found if image.use == use])
        for use in dict.fromkeys(image.use for image in found)
    ]
    header = (
        *("image", "nuclei: mask Dice", "fibers with a class", "matched"),
        *("published central", "found central", "agree (central)", "agree (any internal)"),
        f"≥ {AGREEMENT_GOAL:.0%}, Dice ≥ {DICE_GOAL}",
    )
    return markdown(header, (_central_row(*group) for group in groups))


def central_fibers(sections: Iterable[Section], reader: Reader) -> Iterator[CentralFibers]:
    """Analyze the images that have a mask of nuclei and published classes of fibers."""
    for section in sections:
        stem = section.path.with_suffix("")
        mask_path = stem.with_name(f"{stem.name}_nuclei_mask.tif")
        rois = stem.with_name(f"{stem.name}_RoiSet_classified.zip")
        if not (mask_path.is_file() and rois.is_file()):
            continue
        reading = reader(section.path, section.mpp, section.stain, section.channels())
        true = LabelField(section.truth_path, section.truth(), (section.mpp, section.mpp))
        classes = published_classes(rois, true.labels)
        found, _ = match_grids(reading.labels, true)
        pairs = match_fibers(found.labels, true.labels).pairs
        table = reading.fibers.set_index("label")
        known = [(f, t) for f, t in pairs.tolist() if t in classes and f in table.index]
        rows = table.loc[[f for f, _ in known]]
        fibers = pd.DataFrame(
            {
                "published": np.array([classes[t] for _, t in known], dtype=bool),
                "central": rows["is_centrally_nucleated"].astype("boolean").to_numpy(),
                "internal": (rows["n_internal_nuclei"] > 0).astype("boolean").to_numpy(),
            }
        )
        mask = (tifffile.imread(mask_path) > 0).astype(np.int32)
        drawn = np.zeros_like(mask)
        if reading.nuclei is not None:
            nuclei = match_grids(reading.nuclei, LabelField(mask_path, mask, true.mpp))[0]
            drawn = (nuclei.labels > 0).astype(np.int32)
        evaluation = evaluate_fibers(drawn, mask, thresholds=(0.5,), shapes=False)
        yield CentralFibers(section.name, section.use, evaluation, fibers, len(classes))


def published_classes(rois: Path, labels: NDArray[np.int32]) -> dict[int, bool]:
    """Whether each labelled fiber is published as one with a nucleus inside.

    Parameters
    ----------
    rois
        RoiSet.zip with names such as ``12_Abnormal``, numbered otherwise than `labels`.
    labels
        Label image on the same grid.
    """
    with zipfile.ZipFile(rois) as archive:
        names = [Path(name).stem for name in archive.namelist() if name.endswith(".roi")]
    outlines = read_roiset(rois).outlines
    if len(outlines) != len(names):
        raise ValueError(f"{rois}: {len(names)} names for {len(outlines)} outlines")
    classes = {}
    for name, outline in zip(names, outlines, strict=True):
        inside = np.zeros(labels.shape, dtype=np.uint8)
        cv2.fillPoly(inside, [np.round(ring).astype(np.int32) for ring in outline.rings], 1)
        under = labels[inside > 0]
        under = under[under > 0]
        if under.size:
            classes[int(np.bincount(under).argmax())] = name.endswith(CENTRAL)
    return classes


def _central_row(title: str, images: Sequence[CentralFibers]) -> list[str]:
    fibers = pd.concat([image.fibers for image in images])
    assessed = fibers.dropna()
    dice = pool_evaluations(image.mask for image in images).foreground_dice
    agree = [(assessed[name] == assessed["published"]).mean() for name in ("central", "internal")]
    met = agree[0] >= AGREEMENT_GOAL and dice >= DICE_GOAL
    return [
        title,
        number(dice),
        str(sum(image.n_published for image in images)),
        str(len(assessed)),
        share(assessed["published"].mean()),
        share(assessed["central"].mean()),
        *(share(value) for value in agree),
        "met" if met else "not met",
    ]


def tile_table(data: Path, reader: Reader) -> str:
    """Markdown table of the nuclei of held-back tiles, all of them and the worst."""
    entries = yaml.safe_load(TILES.read_text(encoding="utf-8"))["nuclei"]
    found = {}
    for entry in entries:
        path, mpp = data / entry["image"], float(entry["mpp"])
        labels_path = data / entry["labels"]
        labels = tifffile.imread(labels_path).astype(np.int32)
        true = LabelField(labels_path, labels, (mpp, mpp))
        nuclei = reader(path, mpp, "he", {}).nuclei
        drawn = np.zeros_like(labels)
        if nuclei is not None:
            drawn = match_grids(nuclei, true)[0].labels
        found[path.stem] = evaluate_fibers(drawn, labels, mpp=mpp, thresholds=(0.5,), shapes=False)
    worst = sorted(found, key=lambda name: found[name].at(0.5).f1)[:5]
    pooled = pool_evaluations(found.values())
    rows = [
        [*_tile_row(f"all {len(found)} tiles", pooled), _met(pooled)],
        *([*_tile_row(name, found[name]), ""] for name in worst),
    ]
    header = ("tiles (then the worst)", "n true", "n found", "P", "R", "F1", "Dice")
    return markdown((*header, f"F1 ≥ {F1_GOAL:.2f}"), rows)


def _met(found: FiberEvaluation) -> str:
    return "met" if found.at(0.5).f1 >= F1_GOAL else "not met"


def _tile_row(title: str, found: FiberEvaluation) -> list[str]:
    half = found.at(0.5)
    return [
        title,
        str(found.n_true),
        str(found.n_predicted),
        *(number(value) for value in (half.precision, half.recall, half.f1)),
        number(found.foreground_dice),
    ]
