"""Pictures and labels that belong together by their names, or by a COCO file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.cellpose import SEG_SUFFIX
from biopsy_ai.formats.coco import is_coco, read_coco
from biopsy_ai.slides.formats import SUPPORTED_SUFFIXES, slide_name
from biopsy_ai.training.collection import Dataset, DatasetItem, ItemOptions, Problem

_PARTS = re.compile(
    r"(?P<name>.+?)(?:_cp)?_(?P<part>fibers|labels|masks|mask|known|nuclei|nuclei_mask|tissue)"
)
"""Names of files that belong to a picture; also Cellpose's ``_cp_masks``."""

_LABEL_PARTS = ("fibers", "labels", "masks", "mask")
_ROISETS = re.compile(r"(?P<name>.+?)(?:[_-]?RoiSet)?", re.IGNORECASE)
_FOLDERS = (("images", "labels"), ("images", "masks"), ("images", "fibers"))
"""Pictures and labels of the same name in two folders."""


def add_pairs(found: Dataset, root: Path, reviewed: set[Path], options: ItemOptions) -> None:
    """Add pictures whose labels carry their name, and those of COCO files.

    Parameters
    ----------
    found
        Changed in place.
    root
        Folder that is searched, with its sub-folders.
    reviewed
        Folders that are left out, as they were exported from a review.
    options
        What holds of all pictures.
    """
    files = [
        file
        for file in sorted(root.rglob("*"))
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
        and not reviewed.intersection(file.parents)
    ]
    images, labels, extras, coco_files = _sorted_out(files, root)
    for (folder, name), image in images.items():
        there = labels.pop((folder, name), [])
        if not there:
            continue
        chosen = min(there, key=_preference)
        if len(there) > 1:
            found.notes.append(
                f"{image}: has {len(there)} files with labels; {chosen.name} is taken."
            )
        found.items.append(
            DatasetItem(
                name=(image.parent.relative_to(root) / name).as_posix(),
                image=image,
                labels=chosen,
                known=extras.get((folder, name, "known")),
                nuclei=extras.get((folder, name, "nuclei")),
                slide=name,
                options=options,
            )
        )
    for file in coco_files:
        _add_coco(found, file, root, images, options)
    for orphans in labels.values():
        found.problems += [
            Problem(file, "there is no picture of this name beside these labels.")
            for file in orphans
        ]
    used = {item.image for item in found.items}
    bare = [image for image in images.values() if image not in used]
    if bare and found.items:
        names = ", ".join(image.name for image in bare[:3])
        more = f" and {len(bare) - 3} more" if len(bare) > 3 else ""
        found.notes.append(f"Left out, as there are no labels: {names}{more}.")


def _sorted_out(
    files: list[Path], root: Path
) -> tuple[
    dict[tuple[Path, str], Path],
    dict[tuple[Path, str], list[Path]],
    dict[tuple[Path, str, str], Path],
    list[Path],
]:
    """Tell pictures, labels, what else belongs to a picture, and COCO files apart."""
    images: dict[tuple[Path, str], Path] = {}
    labels: dict[tuple[Path, str], list[Path]] = {}
    extras: dict[tuple[Path, str, str], Path] = {}
    coco_files = []
    outlines = []
    for file in files:
        suffix = file.suffix.lower()
        if file.name.endswith(SEG_SUFFIX):
            key = (file.parent, file.name.removesuffix(SEG_SUFFIX))
            labels.setdefault(key, []).append(file)
        elif suffix in (".geojson", ".json", ".zip", ".gz"):
            outlines.append(file)
        elif suffix in SUPPORTED_SUFFIXES:
            _sort_image(file, root, images, labels, extras)
    for file in outlines:
        name = _outline_name(file)
        if (file.parent, name) in images or file.suffix.lower() == ".geojson":
            labels.setdefault((file.parent, name), []).append(file)
        elif file.suffix.lower() == ".json" and is_coco(file):
            coco_files.append(file)
        elif "roiset" in file.name.lower():
            labels.setdefault((file.parent, name), []).append(file)
    return images, labels, extras, coco_files


def _sort_image(
    file: Path,
    root: Path,
    images: dict[tuple[Path, str], Path],
    labels: dict[tuple[Path, str], list[Path]],
    extras: dict[tuple[Path, str, str], Path],
) -> None:
    name = slide_name(file)
    for pictures, truth in _FOLDERS:
        if file.parent.name == truth and (file.parent.parent / pictures).is_dir():
            labels.setdefault((file.parent.parent / pictures, name), []).append(file)
            return
    match = _PARTS.fullmatch(name)
    if match is None:
        images[file.parent, name] = file
    elif match["part"] in _LABEL_PARTS:
        labels.setdefault((file.parent, match["name"]), []).append(file)
    else:
        extras[file.parent, match["name"], match["part"].removesuffix("_mask")] = file


def _outline_name(file: Path) -> str:
    """Name of the picture that a file with outlines belongs to."""
    name = file.name
    for suffix in (".gz", ".zip", ".geojson", ".json"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    match = _PARTS.fullmatch(name)
    if match is not None and match["part"] in _LABEL_PARTS:
        return match["name"]
    roiset = _ROISETS.fullmatch(name)
    return roiset["name"] if roiset else name


def _preference(file: Path) -> tuple[int, str]:
    """Label images before outlines, and what was drawn by hand before what a program saved."""
    match = _PARTS.fullmatch(slide_name(file))
    order = _LABEL_PARTS.index(match["part"]) if match and match["part"] in _LABEL_PARTS else 4
    return order, file.name


def _add_coco(
    found: Dataset,
    file: Path,
    root: Path,
    images: Mapping[tuple[Path, str], Path],
    options: ItemOptions,
) -> None:
    """Add the pictures of a COCO file."""
    try:
        entries = read_coco(file)
    except OutlineReadError as error:
        found.problems.append(Problem.of(file, error))
        return
    for entry in entries:
        image = next(_places(entry.file_name, file, root, images.values()), None)
        if image is None:
            found.problems.append(Problem(file, f"there is no picture {entry.file_name}."))
        elif not entry.annotations:
            found.notes.append(f"{file}: says nothing of {entry.file_name}, which is left out.")
        else:
            name = slide_name(image)
            found.items.append(
                DatasetItem(name, image, file, slide=name, options=options, coco=entry)
            )


def _places(name: str, file: Path, root: Path, images: Iterable[Path]) -> Iterator[Path]:
    """Where a picture that a COCO file names may be."""
    plain = Path(name.replace("\\", "/"))
    beside = file.parent / plain
    if beside.resolve().is_relative_to(root.resolve()) and beside.is_file():
        yield beside
    yield from (image for image in images if image.name == plain.name)
