"""A reviewed section as data to train on: picture, corrected fibers, and where they are known."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai import __version__
from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import ReviewError
from biopsy_ai.formats.files import output_folder, remove_result, replacing
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.formats.tables import printable, write_csv
from biopsy_ai.formats.tiled_tiff import write_tiled_tiff
from biopsy_ai.labels import view_on_grid
from biopsy_ai.progress import Progress
from biopsy_ai.review.log import LOG_FILE
from biopsy_ai.review.measured_fibers import measured_fibers
from biopsy_ai.review.reviewed_section import ReviewedSection
from biopsy_ai.yaml_text import load_yaml

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

MEASURED_FILE = "measured.csv"
IMAGE_FILE, FIBERS_FILE, KNOWN_FILE = "image.tif", "fibers.tif", "known.tif"
TYPES_FILE, CONDITIONS_FILE, ITEM_FILE = "types.csv", "conditions.csv", "item.yaml"

MAX_SIDE_PX = 4096
"""Pictures are at most so large along either side; larger sections are cut."""

OVERLAP_PX = 512
"""How far neighboring pictures of one section overlap: a fiber that the edge of one cuts is whole
in the other (256 µm)."""

BESIDE_UM = 5.0
"""How far around a fiber that a person has seen it is known what is no fiber. [default]"""

CONTEXT_UM = 32.0
"""How much of the picture is given around what is known. [default]"""

KNOWN = 255


def export_training(
    section: ReviewedSection,
    folder: str | Path,
    *,
    whole_section: bool,
    progress: Progress | None = None,
) -> Path:
    """Write a reviewed section as data that ``biopsy-ai train`` reads.

    Parameters
    ----------
    section
        What was reviewed.
    folder
        Of the data set, made if missing. What was written of this section before is replaced;
        another region of the slide stays.
    whole_section
        Whether every fiber was looked at, so that there is none where none is outlined. Without
        it only fibers that a person accepted or changed, and what was deleted, are known.
    progress
        Called as ``progress("training_data", done, total)``.

    Returns
    -------
    Path
        The folder of the data set.

    Raises
    ------
    ReviewError
        If nothing is known.
    SlideReadError
        If the slide is missing.
    OutputError
        If the folder cannot be written.
    """
    folder = output_folder(folder)
    with section.saved.open_slide() as slide:
        grid = _Grid(section, slide, whole_section)
        windows = list(grid.windows())
        if not windows:
            raise ReviewError(
                "nothing of this section is known for sure. Accept or correct some fibers, or say "
                "that the whole section was reviewed."
            )
        name = _make_room(section, folder)
        for number, (y0, x0, y1, x1) in enumerate(windows):
            if progress is not None:
                progress("training_data", number, len(windows))
            whole = (y0, x0, y1, x1) == (0, 0, *grid.shape)
            item = folder / (name if whole else f"{name}_{y0}_{x0}")
            _write_item(item, grid, (y0, x0, y1, x1))
    if progress is not None:
        progress("training_data", len(windows), len(windows))
    return folder


class _Grid:
    """A reviewed section on the grid of the network."""

    def __init__(self, section: ReviewedSection, slide: Slide, whole_section: bool) -> None:
        saved = section.saved
        self.section, self.slide, self.whole_section = section, slide, whole_section
        self.shape = slide.grid_shape(OUTLINE_MPP)
        mpp = OUTLINE_MPP, OUTLINE_MPP
        self.fibers = view_on_grid(section.labels, saved.segmentation.mpp, self.shape, mpp)
        self.before = view_on_grid(
            saved.segmentation.labels, saved.segmentation.mpp, self.shape, mpp
        )
        tissue = saved.segmentation.tissue
        self.tissue = (
            None if tissue is None else view_on_grid(tissue.classes, tissue.mpp, self.shape, mpp)
        )
        self.seen = section.ids[section.seen()]
        self.measured = measured_fibers(section, whole_section=whole_section)
        found = saved.segmentation.ids
        self.gone = found[~np.isin(found, section.ids)]

    def windows(self) -> Iterator[tuple[int, int, int, int]]:
        """Boxes that pictures are made of."""
        if self.whole_section:
            yield from self._tiles()
            return
        height, width = self.shape
        segmentation = self.section.saved.segmentation
        boxes = np.concatenate(
            [
                self.section.boxes[np.isin(self.section.ids, self.seen)],
                segmentation.boxes[np.isin(segmentation.ids, self.gone)],
            ]
        )
        if not len(boxes):
            return
        boxes = boxes * np.tile(np.divide(segmentation.mpp, OUTLINE_MPP), 2)
        if max(self.shape) <= MAX_SIDE_PX:
            yield 0, 0, height, width
            return
        around = int(CONTEXT_UM / OUTLINE_MPP)
        square = ((boxes[:, :2] + boxes[:, 2:]) / 2 // (MAX_SIDE_PX - OVERLAP_PX)).astype(int)
        for place in np.unique(square, axis=0):
            members = boxes[(square == place).all(axis=1)]
            start = np.floor(members[:, :2].min(axis=0)).astype(int) - around
            end = np.ceil(members[:, 2:].max(axis=0)).astype(int) + around
            # what is too large for one picture is cut, and not known where it is cut
            excess = np.maximum(end - start - MAX_SIDE_PX, 0)
            start, end = start + excess // 2, end - (excess - excess // 2)
            y0, x0 = np.maximum(start, 0).tolist()
            y1, x1 = np.minimum(end, self.shape).tolist()
            yield y0, x0, y1, x1

    def _tiles(self) -> Iterator[tuple[int, int, int, int]]:
        rows, columns = (_starts(side) for side in self.shape)
        for y in rows:
            for x in columns:
                box = y, x, min(y + MAX_SIDE_PX, self.shape[0]), min(x + MAX_SIDE_PX, self.shape[1])
                if self.known(box, self.read(box)).any():
                    yield box

    def read(self, box: tuple[int, int, int, int]) -> NDArray[np.int32]:
        """Corrected labels of a window."""
        y0, x0, y1, x1 = box
        return np.asarray(self.fibers[y0:y1, x0:x1], np.int32)

    def known(self, box: tuple[int, int, int, int], fibers: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Where in a window it is known what is fiber and what is not."""
        y0, x0, y1, x1 = box
        if self.whole_section:
            if self.tissue is None:
                known = np.ones(fibers.shape, bool)
            else:
                known = np.asarray(self.tissue[y0:y1, x0:x1]) > 0
                known |= _near(fibers > 0)
        else:
            before = np.asarray(self.before[y0:y1, x0:x1])
            known = _near(np.isin(fibers, self.seen)) & ((fibers == 0) | np.isin(fibers, self.seen))
            known |= np.isin(before, self.gone) & (fibers == 0)
        return known & ~np.isin(fibers, self._cut(box, fibers))

    def _cut(self, box: tuple[int, int, int, int], fibers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Fibers that the edge of a window cuts, where the section goes on."""
        y0, x0, y1, x1 = box
        edges = [
            edge
            for goes_on, edge in (
                (y0 > 0, fibers[0]),
                (x0 > 0, fibers[:, 0]),
                (y1 < self.shape[0], fibers[-1]),
                (x1 < self.shape[1], fibers[:, -1]),
            )
            if goes_on
        ]
        cut = np.unique(np.concatenate([np.zeros(0, np.int32), *edges]))
        return cut[cut > 0]


def _starts(side: int) -> list[int]:
    """Where pictures begin along a side, evenly and overlapping."""
    if side <= MAX_SIDE_PX:
        return [0]
    n = -(-(side - OVERLAP_PX) // (MAX_SIDE_PX - OVERLAP_PX))
    return np.linspace(0, side - MAX_SIDE_PX, n).round().astype(int).tolist()


def _near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask and what lies within `BESIDE_UM` of it."""
    import cv2

    reach = int(round(BESIDE_UM / OUTLINE_MPP))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.view(np.uint8), disc) > 0


def _make_room(section: ReviewedSection, folder: Path) -> str:
    """Take what was exported of a section before out of the data set, and name it.

    Slides of the same name are told apart by their hash, regions of one slide by a number besides.
    """
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", section.saved.name).strip(" .") or "section"
    own, taken = _image_sha256(section), []
    for item in sorted(folder.glob(f"*/{ITEM_FILE}")):
        if _origin_of(item) == (own, _region(section)):
            remove_result(item)
        else:
            taken.append(item.parent.name)
    hashed = f"{name}-{own[:8]}"
    names = chain((name, hashed), (f"{hashed}-{number}" for number in count(2)))
    return next(free for free in names if not any(_is_part(item, free) for item in taken))


def _is_part(item: str, name: str) -> bool:
    """Whether a folder is that of a section of a name, or of a window of it."""
    return re.fullmatch(re.escape(name) + r"(_\d+_\d+)?", item) is not None


def _origin_of(item: Path) -> tuple[str, Any]:
    """Hash of the slide, and the region, that an item was made of."""
    try:
        read = load_yaml(item.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return "", None
    if not isinstance(read, dict):
        return "", None
    return str(read.get("image_sha256") or ""), read.get("region")


def _region(section: ReviewedSection) -> list[list[float]] | None:
    """Corners of the region that was analyzed, as an item holds them; None for the whole."""
    region = section.saved.config.region
    return None if region is None else [list(corner) for corner in region]


def _image_sha256(section: ReviewedSection) -> str:
    return str((section.saved.summary.get("provenance") or {}).get("image_sha256") or "")


def _write_item(folder: Path, grid: _Grid, box: tuple[int, int, int, int]) -> None:
    section, mpp = grid.section, (OUTLINE_MPP, OUTLINE_MPP)
    fibers = grid.read(box)
    known = np.where(grid.known(box, fibers), np.uint8(KNOWN), np.uint8(0))
    output_folder(folder)
    remove_result(folder / ITEM_FILE)
    y0, x0, y1, x1 = box
    _write_image(folder / IMAGE_FILE, grid.slide, box)
    write_label_image(folder / FIBERS_FILE, fibers, mpp)
    write_tiled_tiff(folder / KNOWN_FILE, known, mpp, dtype=np.uint8, name="known")
    present = set(np.unique(fibers).tolist())
    corrections = section.corrections
    _write_words(folder / TYPES_FILE, "type", corrections.types, present)
    _write_words(folder / CONDITIONS_FILE, "condition", corrections.conditions, present)
    measured = grid.measured[grid.measured["label"].isin(present)]
    write_csv(folder / MEASURED_FILE, measured)
    log = section.saved.folder / LOG_FILE
    with replacing(folder / LOG_FILE) as temporary:
        temporary.write_bytes(log.read_bytes() if log.is_file() else b"")
    with replacing(folder / ITEM_FILE) as temporary:
        text = yaml.safe_dump(_item(section), sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def _item(section: ReviewedSection) -> dict[str, Any]:
    """What the data set says of a picture."""
    summary = section.saved.summary
    image, record = summary.get("image") or {}, section.corrections.record
    patient = (summary.get("specimen") or {}).get("patient")
    channel: object = section.saved.config.channels.get("border")
    if channel is None:
        channel = section.saved.segmentation.provenance.get("border_channel")
    item: dict[str, Any] = {
        "image": IMAGE_FILE,
        "labels": FIBERS_FILE,
        "known": KNOWN_FILE,
        "measured": MEASURED_FILE,
        "mpp": OUTLINE_MPP,
        "stain": str(image.get("stain") or "auto"),
        "slide": printable(str(image.get("file") or section.saved.name)),
        "image_sha256": _image_sha256(section),
        "license": "not stated",
        "reviewers": [str(name) for name in record.get("reviewers") or ()],
        "n_edits": int(record.get("n_edits") or 0),
        "biopsy_ai_version": __version__,
    }
    region = _region(section)
    if region is not None:
        item["region"] = region
    if patient:
        item["patient"] = str(patient)
    if channel is not None:
        item["channel"] = int(str(channel))
    return item


def _write_image(path: Path, slide: Slide, box: tuple[int, int, int, int]) -> None:
    """Write a window of a slide on the grid of the network, in the type that the slide has."""
    import tifffile

    y0, x0, y1, x1 = box
    pixels = slide.read(y0, x0, y1 - y0, x1 - x0, OUTLINE_MPP)
    if slide.dtype.kind in "iu":
        limits = np.iinfo(slide.dtype)
        pixels = np.clip(np.rint(pixels), limits.min, limits.max).astype(slide.dtype)
    names = {} if slide.is_rgb else {"Channel": {"Name": list(slide.channel_names)}}
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels if slide.is_rgb else np.moveaxis(pixels, 2, 0),
            tile=(512, 512),
            compression="zlib",
            compressionargs={"level": 1},
            photometric="rgb" if slide.is_rgb else "minisblack",
            ome=True,
            metadata={
                "axes": "YXS" if slide.is_rgb else "CYX",
                "PhysicalSizeX": OUTLINE_MPP,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": OUTLINE_MPP,
                "PhysicalSizeYUnit": "µm",
                **names,
            },
            software=f"biopsy-ai {__version__}",
        )


def _write_words(path: Path, title: str, words: Mapping[int, str], present: set[int]) -> None:
    """Write what a person said of the fibers in a picture."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", title])
        writer.writerows((label, words[label]) for label in sorted(words) if label in present)
