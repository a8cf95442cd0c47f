"""Pictures and labels of a user, read and checked, and put down as training reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import BiopsyError, OutlineReadError
from biopsy_ai.formats.files import replacing
from biopsy_ai.progress import Progress
from biopsy_ai.training.collection import Dataset, DatasetItem, Problem
from biopsy_ai.training.item_checks import LEAST_FIBERS, label_problems, overlap_problem
from biopsy_ai.training.item_labels import on_grid, read_item_labels
from biopsy_ai.training.targets import make_nucleus_targets, make_targets

MAX_ITEM_PX = 1 << 25
"""Pictures of more pixels on the working grid are refused: almost 3 mm a side."""

NEAR_UM = 5.0
"""Around fibers of a partly labelled picture it is known, up to this distance, that there is no
other fiber, µm. [default]"""

PLANES = ("picture", "fibers", "known", "targets", "nuclei")
"""Arrays that are kept of each picture."""


@dataclass(frozen=True, eq=False)
class LoadedItem:
    """A picture with labels that is ready for training, its arrays in files.

    Attributes
    ----------
    item
        Where it comes from.
    folder
        Of its arrays.
    threshold_set
        Which thresholds of a model suit it.
    n_fibers
        Labelled fibers.
    origin
        Names and hashes of its files, and how they were read.
    """

    item: DatasetItem
    folder: Path
    threshold_set: str
    n_fibers: int
    origin: dict[str, Any]

    def plane(self, name: str) -> NDArray[Any]:
        """One of `PLANES`, of which only what is used is read.

        ``picture`` is (H, W, 3) float16 and normalized, ``fibers`` (H, W) int32 labels, ``known``
        (H, W) bool, ``targets`` and ``nuclei`` what the network learns, see `Truth`; ``nuclei`` is
        absent where they are not labelled.
        """
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array

    @property
    def knows_nuclei(self) -> bool:
        """Whether its nuclei are labelled."""
        return (self.folder / "nuclei.npy").exists()


def load_dataset(
    dataset: Dataset, work: str | Path, *, progress: Progress | None = None
) -> list[LoadedItem]:
    """Read and check all pictures; whatever is wrong is added to the problems of the dataset.

    Parameters
    ----------
    dataset
        From `find_dataset`; changed in place.
    work
        Folder for the arrays.

    Returns
    -------
    list of LoadedItem
        The pictures without a problem.
    """
    loaded = []
    for number, item in enumerate(dataset.items):
        one, problems = load_item(item, Path(work) / f"{number:04d}")
        dataset.problems += problems
        if one is not None:
            loaded.append(one)
        if progress:
            progress("check", number + 1, len(dataset.items))
    n_fibers = sum(one.n_fibers for one in loaded)
    if n_fibers < LEAST_FIBERS and not dataset.problems:
        file = dataset.items[0].labels if len(dataset.items) == 1 else Path("all pictures")
        dataset.problems.append(
            Problem(
                file,
                f"{n_fibers} labelled fibers are too few to learn from; label {LEAST_FIBERS} or "
                "more.",
            )
        )
    return loaded


def find_measured(dataset: Dataset) -> list[LoadedItem]:
    """Take up the pictures of reviews of which it was written down what was measured of the fibers.

    Nothing of the pictures is read but their hashes. What is wrong is added to the problems of the
    dataset, and pictures without such a table are told of.

    Returns
    -------
    list of LoadedItem
        Without arrays; ``n_fibers`` are those that a person looked at.
    """
    from biopsy_ai.training.reviewed_fibers import read_measured

    found = []
    for item in dataset.items:
        if item.measured is None:
            dataset.notes.append(f"{item.name}: was not exported with what was measured of it.")
            continue
        try:
            n = int(read_measured(item.measured)["reviewed"].sum())
        except BiopsyError as error:
            dataset.problems.append(Problem.of(item.measured, error))
            continue
        origin = {"image_sha256": file_sha256(item.image), **_of_measured(item)}
        found.append(LoadedItem(item, Path(), "", n, origin))
    if not found and not dataset.problems:
        dataset.problems.append(
            Problem(
                Path("all pictures"),
                "no review tells what was measured of its fibers. Analyze the sections with this "
                "version of biopsy-ai, review them and save the reviews as training data.",
            )
        )
    return found


def _of_measured(item: DatasetItem) -> dict[str, str]:
    return {} if item.measured is None else {"measured_sha256": file_sha256(item.measured)}


def load_item(item: DatasetItem, folder: Path) -> tuple[LoadedItem | None, list[Problem]]:
    """Read and check one picture, and put its arrays down in `folder`.

    Returns
    -------
    item : LoadedItem or None
        None where something is wrong.
    problems : list of Problem
    """
    from biopsy_ai.segmentation.picture import PictureReader, is_fluorescent
    from biopsy_ai.segmentation.thresholds import threshold_set
    from biopsy_ai.slides import open_slide
    from biopsy_ai.training.real import shrink_labels, single_nuclei
    from biopsy_ai.training.reviewed_fibers import read_measured

    options = item.options
    channels = None if options.channel is None else {"border": options.channel}
    if item.measured is not None:
        try:
            read_measured(item.measured)
        except BiopsyError as error:
            return None, [Problem.of(item.measured, error)]
    try:
        with open_slide(item.image, mpp=options.mpp, channels=channels) as slide:
            shape = slide.grid_shape(OUTLINE_MPP)
            if shape[0] * shape[1] > MAX_ITEM_PX:
                side = round(MAX_ITEM_PX**0.5 * OUTLINE_MPP / 1000)
                text = f"is larger than {side} × {side} mm. Cut out what is labelled."
                return None, [Problem(item.image, text)]
            reader = PictureReader.of_slide(slide, OUTLINE_MPP, stain=options.stain)
            picture = reader.read(0, 0, *shape)
            kind = threshold_set(options.stain, fluorescent=is_fluorescent(slide, options.stain))
            origin: dict[str, Any] = {"image": item.image.name, "image_sha256": slide.sha256()}
            labels = read_item_labels(item, slide)
            nuclei = None
            if item.nuclei is not None:
                nuclei = single_nuclei(on_grid(item.nuclei, slide, "the image of the nuclei"))
            mpp = slide.mpp
    except OutlineReadError as error:
        return None, [Problem.of(item.labels, error)]
    except BiopsyError as error:
        return None, [Problem.of(item.image, error)]
    fibers = shrink_labels(labels.fibers, item.shrink_um).astype(np.int32)
    known = labels.known
    if options.partly:
        known &= _near(fibers)
    n_fibers = len(np.unique(fibers[known & (fibers > 0)]))
    texts = label_problems(picture, fibers, known)
    if overlap := overlap_problem(labels.n_overlapping, n_fibers):
        texts.append(overlap)
    if texts:
        return None, [Problem(item.labels, text) for text in texts]
    targets = make_targets(fibers, OUTLINE_MPP)
    targets[~known, 3] = 0
    arrays: dict[str, NDArray[Any]] = {
        "picture": picture.astype(np.float16),
        "fibers": fibers,
        "known": known,
        "targets": targets,
    }
    if nuclei is not None:
        arrays["nuclei"] = make_nucleus_targets(nuclei, OUTLINE_MPP)
    _put_down(folder, arrays)
    origin |= {
        "labels_sha256": file_sha256(item.labels),
        "known_sha256": file_sha256(item.known) if item.known else None,
        **_of_measured(item),
        "nuclei_sha256": file_sha256(item.nuclei) if item.nuclei else None,
        "mpp": list(mpp),
        "channel": options.channel,
        "shrink_um": item.shrink_um,
        "partly": options.partly,
    }
    return LoadedItem(item, folder, kind, n_fibers, origin), []


def _near(fibers: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Fibers and what lies so near that it would have been labelled with them."""
    import cv2

    away = cv2.distanceTransform((fibers == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away * OUTLINE_MPP <= NEAR_UM)


def _put_down(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLANES:
        path = folder / f"{name}.npy"
        if name not in arrays:
            path.unlink(missing_ok=True)
            continue
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, arrays[name])
