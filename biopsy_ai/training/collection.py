"""What a folder of a user's own slides holds: pictures, their labels, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from biopsy_ai.errors import BiopsyError, TrainingDataError
from biopsy_ai.formats.coco import CocoImage
from biopsy_ai.result_names import SUMMARY_FILE
from biopsy_ai.slides.formats import slide_name
from biopsy_ai.yaml_text import load_yaml

ITEM_FILE = "item.yaml"
"""Marks a folder that a review was exported to."""

LIST_FILE = "training.yaml"
"""Where a folder lists its pictures itself, see `read_training_list`."""

NOT_STATED = "not stated"
"""License of pictures of which none is given."""

HOW_TO_LAY_OUT = (
    "Give a folder that reviews were exported to, a folder with pictures and labels by name "
    "(a.tif with a_fibers.tif, a_masks.png, a_seg.npy, a.geojson, a_RoiSet.zip, or a COCO file), "
    f"or a list such as {LIST_FILE}."
)


@dataclass(frozen=True)
class ItemOptions:
    """What the user says of all pictures that do not say it themselves.

    Attributes
    ----------
    mpp
        Pixel size, µm.
    channel
        Number of the channel that shows the fiber border.
    stain
        As in `AnalysisConfig.stain`.
    license
        For the model card.
    partly
        Only some fibers are labelled: away from them nothing is known.
    """

    mpp: float | None = None
    channel: int | None = None
    stain: str = "auto"
    license: str = NOT_STATED
    partly: bool = False


@dataclass(frozen=True)
class DatasetItem:
    """One picture with labels.

    Attributes
    ----------
    name
        In words, unique within the dataset.
    image, labels
        Their files.
    coco
        What the label file says of this picture, where it is a COCO file of many.
    known
        Mask, not 0 where the labels are known; None where they are known everywhere.
    nuclei
        Label image or mask of the nuclei.
    measured
        Table of what was measured of the fibers that a person reviewed, and what was said of them.
    slide, patient
        What the picture was cut from; `patient` is empty where it is not said.
    reviewers
        Who corrected it.
    options
        Pixel size, channel, stain, license, and whether labels are incomplete.
    """

    name: str
    image: Path
    labels: Path
    slide: str
    options: ItemOptions
    coco: CocoImage | None = None
    known: Path | None = None
    nuclei: Path | None = None
    measured: Path | None = None
    patient: str = ""
    shrink_um: float = 0.0
    reviewers: tuple[str, ...] = ()
    n_edits: int = 0


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file."""

    file: Path
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"

    @classmethod
    def of(cls, file: Path, error: BiopsyError) -> Problem:
        """Take an error for a problem of a file, which its message need not name twice."""
        return cls(file, str(error).removeprefix(f"{file}: "))


@dataclass
class Dataset:
    """What was found; `problems` stop a training, `notes` do not."""

    items: list[DatasetItem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_dataset(path: str | Path, options: ItemOptions | None = None) -> Dataset:
    """Find the pictures and labels of a folder, or of a list; nothing is opened but small files.

    Raises
    ------
    TrainingDataError
        There is no such folder or list.
    ConfigError
        The list cannot be read.
    """
    from biopsy_ai.training.pairing import add_pairs

    path, options = Path(path), options or ItemOptions()
    if path.is_file():
        return _listed(path, options)
    if not path.is_dir():
        raise TrainingDataError(f"{path}: there is no such folder or list. {HOW_TO_LAY_OUT}")
    if (path / LIST_FILE).is_file():
        return _listed(path / LIST_FILE, options)
    found = Dataset()
    reviewed = sorted(file.parent for file in path.rglob(ITEM_FILE))
    for folder in reviewed:
        _add_reviewed(found, folder, path, options)
    add_pairs(found, path, set(reviewed), options)
    if not found.items and not found.problems:
        hint = ""
        if (path / SUMMARY_FILE).is_file() or any(path.glob(f"*/{SUMMARY_FILE}")):
            hint = " These are results of an analysis: export the review of a section first."
        found.problems.append(
            Problem(path, f"holds no picture with labels.{hint} {HOW_TO_LAY_OUT}")
        )
    return found


def _listed(path: Path, options: ItemOptions) -> Dataset:
    from biopsy_ai.training.real import read_training_list

    found = Dataset()
    for entry in read_training_list(path):
        name = slide_name(entry["image"])
        if "labels" not in entry:
            found.notes.append(f"{path}: {name} has no labels of fibers and is left out.")
            continue
        found.items.append(
            DatasetItem(
                name=name,
                image=entry["image"],
                labels=entry["labels"],
                slide=entry.get("slide", name),
                patient=entry.get("patient", ""),
                known=entry.get("known"),
                nuclei=entry.get("nuclei"),
                shrink_um=entry.get("shrink_um", 0.0),
                options=replace(
                    options,
                    mpp=entry["mpp"],
                    channel=entry.get("channel", options.channel),
                    license=entry["license"],
                ),
            )
        )
    if not found.items:
        found.problems.append(Problem(path, "names no picture with labels of fibers."))
    return found


def _add_reviewed(found: Dataset, folder: Path, root: Path, options: ItemOptions) -> None:
    """Add a picture that was exported from a review."""
    file = folder / ITEM_FILE
    try:
        item = load_yaml(file.read_text(encoding="utf-8"))
        if not isinstance(item, Mapping):
            raise ValueError("no mapping")
        image, labels = (_inside(folder, item[key]) for key in ("image", "labels"))
        known, measured = (
            _inside(folder, item[key]) if item.get(key) else None for key in ("known", "measured")
        )
        mpp = float(item["mpp"])
        channel = item.get("channel")
        reviewers = tuple(str(name) for name in item.get("reviewers") or ())
        read = DatasetItem(
            name=folder.relative_to(root).as_posix() if folder != root else folder.name,
            image=image,
            labels=labels,
            known=known,
            measured=measured,
            slide=str(item.get("image_sha256") or item.get("slide") or folder.name),
            patient=str(item.get("patient") or ""),
            reviewers=reviewers,
            n_edits=int(item.get("n_edits") or 0),
            options=replace(
                options,
                mpp=mpp,
                channel=options.channel if channel is None else int(channel),
                stain=str(item.get("stain") or options.stain),
                license=_license(item.get("license"), options),
            ),
        )
    except KeyError as error:
        found.problems.append(Problem(file, f"lacks {error.args[0]}. Export the review again."))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        found.problems.append(Problem(file, f"cannot be read ({error}). Export the review again."))
    else:
        files = (image, labels, known, measured)
        missing = [file for file in files if file is not None and not file.is_file()]
        found.problems += [Problem(p, "is missing. Export the review again.") for p in missing]
        if not missing:
            found.items.append(read)


def _inside(folder: Path, name: Any) -> Path:
    """A file of the folder itself, wherever a name would lead."""
    return folder / Path(str(name)).name


def _license(given: Any, options: ItemOptions) -> str:
    return str(given) if given and given != NOT_STATED else options.license
