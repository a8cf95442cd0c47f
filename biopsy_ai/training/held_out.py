"""The slides that models are compared on: those held out, and the synthetic samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.progress import Progress
from biopsy_ai.training.judging import Counts, count_fibers, outlined
from biopsy_ai.training.loading import LoadedItem

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model
    from biopsy_ai.segmentation.device import Device
    from biopsy_ai.segmentation.network import FiberNet

WATCHED_PX = 3 << 20
"""Pixels of the held-out slides that are outlined while a model is trained. [default]"""


@dataclass(frozen=True, eq=False)
class JudgedSlide:
    """A slide with labels on which models are compared.

    Attributes
    ----------
    group
        Patient or slide.
    threshold_set
        Which thresholds of a model suit it.
    picture, labels, known
        As `LoadedItem.plane` gives them; `known` is None where labels are known everywhere.
    """

    name: str
    group: str
    threshold_set: str
    picture: NDArray[Any]
    labels: NDArray[Any]
    known: NDArray[Any] | None


def judged_items(items: Sequence[LoadedItem], groups: Sequence[int]) -> list[JudgedSlide]:
    """Give pictures of a user as slides to judge on."""
    return [
        JudgedSlide(
            one.item.name,
            one.item.patient or f"group {group}",
            one.threshold_set,
            one.plane("picture"),
            one.plane("fibers"),
            one.plane("known"),
        )
        for one, group in zip(items, groups, strict=True)
    ]


def judged_samples() -> list[JudgedSlide]:
    """Read the bundled synthetic samples; those of an installation without any are none."""
    from biopsy_ai.formats.label_image import read_label_image
    from biopsy_ai.resources import sample_fibers, sample_slides
    from biopsy_ai.segmentation.picture import PictureReader
    from biopsy_ai.segmentation.thresholds import threshold_set
    from biopsy_ai.slides import open_slide

    found = []
    for path in sample_slides():
        with open_slide(path) as slide:
            shape = slide.grid_shape(OUTLINE_MPP)
            picture = PictureReader.of_slide(slide, OUTLINE_MPP).read(0, 0, *shape)
        labels = np.asarray(read_label_image(sample_fibers(path))[0])
        kind = threshold_set(path.stem.rpartition("_")[2], fluorescent=False)
        found.append(JudgedSlide(path.stem, path.stem, kind, picture, labels, None))
    return found


def watched_parts(slides: Sequence[JudgedSlide]) -> list[JudgedSlide]:
    """Cut out the middle of what is known of each slide: little enough to be outlined often."""
    if not slides:
        return []
    side = int((WATCHED_PX / len(slides)) ** 0.5)
    parts = []
    for slide in slides:
        labelled = np.argwhere(np.asarray(slide.labels[::16, ::16]) > 0) * 16
        middle = np.median(labelled, axis=0) if len(labelled) else np.array(slide.labels.shape) / 2
        room = np.maximum(np.array(slide.labels.shape) - side, 0)
        y, x = np.clip(middle - side / 2, 0, room).astype(int).tolist()
        box = slice(y, y + side), slice(x, x + side)
        known = None if slide.known is None else np.array(slide.known[box])
        picture, labels = np.array(slide.picture[box]), np.array(slide.labels[box])
        parts.append(
            JudgedSlide(slide.name, slide.group, slide.threshold_set, picture, labels, known)
        )
    return parts


def as_model(network: FiberNet, base: Model, ranges: Mapping[str, float] | None = None) -> Model:
    """Give a trained network the form in which models predict, rounded as it is saved.

    Without `ranges` (of `measure_ranges`) it is run in floating point.
    """
    from biopsy_ai.segmentation import Model
    from biopsy_ai.segmentation.activation_ranges import KEY

    weights = {}
    for key, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu()
        weights[key] = (tensor.half() if tensor.is_floating_point() else tensor).numpy().copy()
    return Model(base.name, Path(), base.spec | {KEY: dict(ranges or {})}, "", weights)


def count_slides(
    model: Model,
    slides: Sequence[JudgedSlide],
    device: Device,
    *,
    stage: str = "compare",
    progress: Progress | None = None,
) -> list[Counts]:
    """Outline slides with a model and compare with their labels."""
    from biopsy_ai.segmentation.maps import networks_by_set

    networks = networks_by_set(model, device)
    counts = []
    for number, slide in enumerate(slides, start=1):
        network = networks[slide.threshold_set]
        drawn = outlined(network, slide.picture, model.thresholds_for(slide.threshold_set))
        known = None if slide.known is None else np.asarray(slide.known)
        counts.append(count_fibers(drawn, np.asarray(slide.labels), known))
        if progress:
            progress(stage, number, len(slides))
    return counts
