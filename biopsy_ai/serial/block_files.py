"""Read the sections of a block from their results, and write the block beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from biopsy_ai import RESEARCH_USE_ONLY, __version__
from biopsy_ai.cohort_table import REGISTRATION_FILE
from biopsy_ai.errors import BiopsyError, OutputError
from biopsy_ai.formats.contours import fiber_polygons
from biopsy_ai.formats.files import output_folder, remove_result
from biopsy_ai.formats.label_image import LABELS_FILE, read_label_image
from biopsy_ai.formats.tables import write_csv, write_json
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.report.backdrop import Backdrop, slide_backdrop
from biopsy_ai.report.block_report import write_block_report
from biopsy_ai.report.legend import Entry
from biopsy_ai.report.overlay import Picture, Shapes, write_overlay
from biopsy_ai.report.save import FIBERS_FILE
from biopsy_ai.serial.block import BlockSection, JoinedBlock
from biopsy_ai.serial.fiber_map import map_of, read_fiber_map
from biopsy_ai.serial.matching import lay_on, places_in_moving
from biopsy_ai.serial.registration import Registration

if TYPE_CHECKING:
    from biopsy_ai.config import AnalysisConfig

BLOCK_FIBERS_FILE = "fibers.csv"
SCORE_FILE = "score.json"

BRIEFLY = ("verdict", "verdict_text", "denervation", "myopathy")
"""What registration.json repeats of the score."""

SQUARES = 8
"""The pictures of the two sections alternate in so many squares along the longer side."""

FIXED_COLOR, MOVING_COLOR, ALONE_COLOR = (0, 90, 181), (230, 140, 0), (200, 0, 90)

LIMITS = (
    "serial_match_iou",
    "serial_min_fibers",
    "serial_matched_share",
    "serial_median_iou",
    "serial_local_iou",
    "serial_common_share",
)


def read_section(folder: Path, name: str, stain: str) -> BlockSection:
    """Read table and outlines of an analyzed section.

    Parameters
    ----------
    folder
        Its results.
    name, stain
        What messages call it, and its stain.

    Raises
    ------
    OutputError
        If results are missing or damaged.
    """
    try:
        table = pd.read_csv(folder / FIBERS_FILE, encoding="utf-8")
        labels, mpp = read_label_image(folder / LABELS_FILE)
    except (OSError, ValueError, BiopsyError) as error:
        raise OutputError(
            f"{folder}: results cannot be read again ({error}). Repeat with --overwrite."
        ) from error
    if mpp is None:
        raise OutputError(f"{folder / LABELS_FILE}: has lost its pixel size. Use --overwrite.")
    for column in ("type", "condition", "excluded"):
        if column in table:
            table[column] = table[column].astype(object).where(table[column].notna(), "")
    return BlockSection(name, stain, table, read_fiber_map(labels, mpp, name))


def read_registration(folder: Path) -> dict[str, Any]:
    """Content of the registration.json in a folder; empty where there is none."""
    try:
        content = json.loads((folder / REGISTRATION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_block(
    folder: Path,
    block: JoinedBlock,
    *,
    about: dict[str, Any],
    slides: dict[str, tuple[Path, AnalysisConfig]],
    results: dict[str, Path] | None = None,
    score: dict[str, Any] | None = None,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Write fibers.csv, pictures of the pairs, score and report, and last registration.json.

    Parameters
    ----------
    folder
        Of the block, made if missing.
    block
        The joined sections; without a table where fewer than two are joined.
    about
        What else registration.json shall hold, first.
    slides
        Path and settings of the slide of each section by its name, for the pictures. Where one
        cannot be opened, the picture has white ground.
    results
        Folder with the results of each section by its name, for the report.
    score
        Scores and findings of the joined sections together, for score.json and the report; see
        `biopsy_ai.score.score_block`. Without it neither is written.
    limits
        Numbers that decided, listed with their sources.

    Returns
    -------
    dict
        What registration.json holds.

    Raises
    ------
    OutputError
        Something cannot be written.
    """
    folder = output_folder(folder)
    for old in (REGISTRATION_FILE, BLOCK_FIBERS_FILE, *read_registration(folder).get("files", [])):
        remove_result(folder / Path(str(old)).name)
    files = []
    if len(block.joined) > 1:
        write_csv(folder / BLOCK_FIBERS_FILE, block.table)
        files.append(BLOCK_FIBERS_FILE)
    for pair in block.pairs:
        if pair.registration is None:
            continue
        fixed, moving = block.sections[pair.fixed], block.sections[pair.moving]
        name = f"registration_{block.prefixes[pair.fixed]}_{block.prefixes[pair.moving]}.png"
        grounds = [_backdrop(section, slides.get(section.name)) for section in (fixed, moving)]
        backdrop = _checkerboard(grounds[0], grounds[1], pair.registration)
        picture = _picture(fixed, moving, pair.registration)
        write_overlay(folder / name, backdrop, picture, title=f"{fixed.name} / {moving.name}")
        files.append(name)
    content: dict[str, Any] = {
        **about,
        "research_use_only": RESEARCH_USE_ONLY,
        "biopsy_ai_version": __version__,
        **block.describe(),
        "score": None if score is None else {key: score["score"][key] for key in BRIEFLY},
        "limits": {name: limits.reference(name).as_dict() for name in LIMITS},
    }
    if score is not None:
        about = {**about, "research_use_only": RESEARCH_USE_ONLY}
        write_json(folder / SCORE_FILE, {**about, **score})
        files.append(SCORE_FILE)
        files += write_block_report(folder, content, score, results or {}, slides=slides)
    content["files"] = files
    write_json(folder / REGISTRATION_FILE, content)
    return content


def _backdrop(section: BlockSection, slide: tuple[Path, AnalysisConfig] | None) -> Backdrop:
    from biopsy_ai.slides import open_slide

    if slide is not None:
        path, config = slide
        try:
            with open_slide(path, mpp=config.mpp, channels=config.channels) as opened:
                return slide_backdrop(opened)
        except BiopsyError:
            pass
    mpp = max(section.fibers.mpp, max(section.fibers.extent_um) / 2400)
    height, width = (max(1, round(side / mpp)) for side in section.fibers.extent_um)
    return Backdrop(np.full((height, width, 3), 255, np.uint8), mpp)


def _checkerboard(fixed: Backdrop, moving: Backdrop, registration: Registration) -> Backdrop:
    """Both sections in alternating squares, the moving one laid on the fixed one."""
    import cv2

    pixels = fixed.pixels.copy()
    height, width = pixels.shape[:2]
    side = max(1, -(-max(height, width) // SQUARES))
    for rows, places in places_in_moving((height, width), fixed.mpp, registration.to_moving):
        y, x = (part / moving.mpp - 0.5 for part in places)
        laid = cv2.remap(
            moving.pixels,
            x,
            y,
            cv2.INTER_AREA,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(255, 255, 255),
        )
        squares = (np.arange(rows.start, rows.stop) // side)[:, None] + np.arange(width) // side
        odd = squares % 2 == 1
        pixels[rows][odd] = laid[odd]
    return Backdrop(pixels, fixed.mpp)


def _picture(fixed: BlockSection, moving: BlockSection, registration: Registration) -> Picture:
    laid, *_ = lay_on(fixed.fibers, moving.fibers, registration.to_moving)
    labels = registration.matches.labels
    layers, entries = [], []
    for section, own, color in (
        (map_of(laid, fixed.fibers.mpp, moving.name), labels[:, 1], MOVING_COLOR),
        (fixed.fibers, labels[:, 0], FIXED_COLOR),
    ):
        ids, boxes = find_boxes(section.labels)
        polygons = dict(fiber_polygons(section.labels, ids, boxes))
        matched = set(own.tolist())
        mpp = (section.mpp, section.mpp)
        for kept, tone in ((True, color), (False, ALONE_COLOR)):
            chosen = [p for label, p in polygons.items() if (label in matched) == kept]
            layers.append(Shapes(chosen, mpp, tone, width=1 if kept else 2))
        entries.append(Entry(f"{section.name}: {len(matched)} matched fibers", color))
    entries.append(Entry("without a match", ALONE_COLOR))
    return Picture(layers, entries)
