"""Train a model to its folder: bank, training, thresholds, measurement, card."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.files import output_folder
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.activation_ranges import KEY
from biopsy_ai.segmentation.device import Device, choose_device
from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.segmentation.maps import MapNetwork, networks_by_set
from biopsy_ai.segmentation.model import Model, load_model, save_model
from biopsy_ai.segmentation.network import NO_CONTEXT
from biopsy_ai.segmentation.thresholds import (
    THRESHOLD_SETS,
    InstanceThresholds,
    threshold_set,
)
from biopsy_ai.segmentation.tiles import STRIDE_PX
from biopsy_ai.synthesis.render import shows_nuclei
from biopsy_ai.training.bank import render_bank, render_training_section
from biopsy_ai.training.card import model_card
from biopsy_ai.training.dataset import SectionCrops, normalized_section
from biopsy_ai.training.fingerprint import bank_fingerprint, outline_record, run_fingerprint
from biopsy_ai.training.losses import unweigh_classes, weigh_classes
from biopsy_ai.training.nucleus_tuning import tune_nuclei
from biopsy_ai.training.real import TrainingImage, load_training_image, read_training_list
from biopsy_ai.training.settings import PARTS, SECTIONS, TUNING_SECTIONS, TrainConfig
from biopsy_ai.training.trainer import HEAD_OF, crop_ranges, read_checkpoint, train_network
from biopsy_ai.training.tuning import TuningScore, tune_thresholds

ARCHITECTURE: dict[str, Any] = {
    "stem": 32,
    "widths": [48, 80, 128, 160, 160],
    "blocks": 1,
    "fine": 1,
}
"""Settings of `FiberNet` for new models."""

HEADS: dict[str, Any] = {"nuclei": True, "tissue": True}
"""Settings of `FiberNet` that are added, also to those of a model that training begins from."""

TUNING_SEED = 500_000
"""First seed of the synthetic sections on which thresholds are tuned; banks stay below it."""


def train_model(
    out: str | Path,
    *,
    name: str,
    work: str | Path | None = None,
    config: TrainConfig,
    sections: int = SECTIONS,
    tuning_sections: int = TUNING_SECTIONS,
    real: str | Path | None = None,
    development: str | Path | None = None,
    outline_files: Sequence[Path] = (),
    outlines_license: str | None = None,
    adipose: Sequence[Path] = (),
    adipose_license: str | None = None,
    start: str | Path | None = None,
    heads: bool = True,
    device: str = "auto",
    version: str = "1",
    progress: Progress | None = None,
) -> Path:
    """Train a model and write its folder.

    Parameters
    ----------
    out
        Model folder to write. What was written by hand into the card there is kept.
    work
        Folder for the bank, checkpoints and logs; a killed run goes on from there. By default
        beside `out`, with ``-work`` after its name.
    sections
        Synthetic sections to render for training.
    tuning_sections
        Further synthetic sections on which thresholds are tuned.
    real, development
        Lists of real images (see `read_training_list`) to train on, and to tune thresholds on.
    outline_files
        Label images whose outlines some synthetic sections are laid out with.
    outlines_license
        License of these label images, for the card.
    adipose
        Pictures of fat in H&E at 0.5 µm per pixel, as texture of some lobules of fat.
    adipose_license
        License of these pictures, for the card.
    start
        Model to begin from: its name or folder. Heads that it lacks begin fresh.
    heads
        Whether the network learns nuclei and tissue classes too.
    version
        Of the model, for ``model.yaml`` and the card.

    Raises
    ------
    ConfigError
        If a setting cannot be used, or `work` holds the work of another training.
    OutputError
        If nothing can be written to `out`.
    """
    _check_only(config.only, start, heads=heads)
    if sections < 1 or config.seed + sections >= TUNING_SEED:
        raise ConfigError(f"sections={sections}: choose between 1 and {TUNING_SEED - 1}")
    work = Path(work) if work is not None else work_folder(out)
    chosen = choose_device(device)
    images = load_images(real)
    first = load_model(start) if start is not None else None
    architecture = ARCHITECTURE
    if first:
        # Fine blocks and heads can be added to what a model has learned; all else must stay.
        architecture = {"fine": ARCHITECTURE.get("fine", 0), **first.spec["architecture"]}
    if heads:
        architecture = architecture | HEADS
    made_from = {"outline_files": tuple(outline_files), "adipose": tuple(adipose)}
    fingerprint = run_fingerprint(
        config,
        architecture=architecture,
        bank=bank_fingerprint(config.seed, **made_from),
        sections=sections,
        real=[i.origin for i in images],
        start=first.weights_sha256 if first else None,
    )
    # Asked before the sections are rendered, which takes long.
    read_checkpoint(work, fingerprint, steps=config.steps)
    output_folder(out)
    bank = render_bank(
        work / "bank",
        sections,
        seed=config.seed,
        **made_from,
        workers=max(config.workers, os.cpu_count() or 1),
        progress=progress,
    )
    crops = SectionCrops(
        bank,
        images,
        crop_px=config.crop_px,
        real_share=config.real_share,
        empty_share=config.empty_share,
        nuclei_share=config.nuclei_share,
    )
    network = train_network(
        crops,
        work,
        config,
        fingerprint=fingerprint,
        architecture=architecture,
        start=weights_to_train(first) if first else None,
        device=chosen.name,
        progress=progress,
    ).cpu()
    unweigh_classes(network)
    ranges = crop_ranges(network, crops)
    if first and config.only:  # lest whole numbers change what stays
        shared = first.activation_ranges.items()
        ranges |= {name: end for name, end in shared if not name.startswith(HEAD_OF[config.only])}
    spec = {
        "name": name,
        "version": version,
        "architecture": architecture,
        KEY: ranges,
        "thresholds": InstanceThresholds(),
        **(_thresholds_of(first) if first and config.only else {}),
        "training": asdict(config) | {"sections": sections},
        "trained_on": [{"image": i.name, "license": i.license} for i in images],
        "outlines": [
            {**outline_record(path), "license": outlines_license} for path in outline_files
        ],
        "adipose": [{**outline_record(path), "license": adipose_license} for path in adipose],
        "start": ancestor(first) if first else None,
    }
    # Before the tuning: what stands in the folder fits together, whenever the run is stopped.
    save_model(out, network, spec, card=folder_card(Path(out), spec))
    if not config.only:
        tune_model(out, development, sections=tuning_sections, device=device, progress=progress)
    return Path(out)


def _check_only(only: str, start: str | Path | None, *, heads: bool) -> None:
    if only and only not in PARTS:
        raise ConfigError(f"only={only!r}: choose among {', '.join(PARTS)}")
    if only and (start is None or not heads):
        raise ConfigError(
            f"only the {only} part can learn of a model that draws the rest already: give the "
            "model to begin from (--start), and do not leave the heads out"
        )


def _thresholds_of(model: Model) -> dict[str, Any]:
    """Thresholds of a model, and how good they were when they were tuned."""
    kept = (*THRESHOLD_SETS, "nucleus_thresholds", "tuning")
    return {key: model.spec[key] for key in kept if key in model.spec}


def weights_to_train(model: Model) -> dict[str, Tensor]:
    """Weights of a model as its training left them."""
    network = model.unfolded()
    weigh_classes(network)
    return network.state_dict()


def work_folder(out: str | Path) -> Path:
    """Folder for the work on a model where none is named: its own, so that no two share one."""
    folder = Path(os.path.abspath(out))
    return folder.with_name(f"{folder.name}-work")


def ancestor(model: Model) -> dict[str, Any]:
    """What a model owes to the one that its training began from."""
    inherited = ("version", "training", "trained_on", "outlines", "adipose", "start")
    return {
        "name": model.name,
        "weights_sha256": model.weights_sha256,
        **{key: model.spec[key] for key in inherited if key in model.spec},
    }


def folder_card(folder: Path, spec: Mapping[str, Any]) -> str:
    """Text of the model card, with what was written into the present one by hand."""
    path = folder / "README.md"
    # What is not UTF-8 is kept byte by byte.
    existing = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
    return model_card(spec, existing)


def load_images(path: str | Path | None) -> list[TrainingImage]:
    """Load the images of a training list; none for None."""
    return [load_training_image(entry) for entry in read_training_list(path)] if path else []


def tune_model(
    folder: str | Path,
    development: str | Path | None,
    *,
    sections: int = TUNING_SECTIONS,
    device: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
) -> dict[str, TuningScore]:
    """Tune the thresholds of a model on development images and unseen synthetic sections.

    Bright field, stains by enzymes and fluorescence are tuned apart, nuclei where the model draws
    them, and the real fibers of each count as much in all as the synthetic ones. The folder's
    ``model.yaml`` and the generated part of its card are rewritten.

    Returns
    -------
    dict
        The score of the fibers under the name that the thresholds have in ``model.yaml``.
    """
    model = load_model(folder)
    fields = _tuning_fields(load_images(development), sections, progress)
    spec = {k: v for k, v in model.spec.items() if k != "weights_sha256"}
    scores = {}
    maps = _field_maps(model, choose_device(device), fields, progress)
    for name in THRESHOLD_SETS:
        numbers = [
            k
            for k, f in enumerate(fields)
            if f.kind == name and (f.ignore is None or not f.ignore.all())
        ]
        chosen = [fields[k] for k in numbers]
        if not any(f.labels.any() for f in chosen):
            continue
        spec[name], scores[name] = tune_thresholds(
            [maps[k] for k in numbers],
            [f.labels for f in chosen],
            ignores=[f.ignore for f in chosen],
            weights=_weights(chosen),
            start=InstanceThresholds.from_mapping(model.spec["thresholds"]),
            workers=workers,
            progress=progress,
        )
    tuning = {
        name: {
            "f1_50": round(score.f1[0], 4),
            "f1_75": round(score.f1[1], 4),
            "csa_bias_percent": round(100 * score.csa_bias, 2),
        }
        for name, score in scores.items()
    }
    known = [(m, f.nuclei) for m, f in zip(maps, fields, strict=True) if f.nuclei is not None]
    if model.draws_nuclei and known:
        seen, nuclei = zip(*known, strict=True)
        thresholds, f1 = tune_nuclei(seen, nuclei, workers=workers)
        spec["nucleus_thresholds"] = thresholds
        tuning["nucleus_thresholds"] = {"f1_50": round(f1, 4)}
    spec["tuning"] = tuning
    save_model(model.folder, model.unfolded(), spec, card=folder_card(model.folder, spec))
    return scores


@dataclass(frozen=True, eq=False)
class _TuningField:
    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    ignore: NDArray[np.bool_] | None
    kind: str
    """One of `THRESHOLD_SETS`."""
    real: bool
    nuclei: NDArray[np.int32] | None


def _field_maps(
    model: Model, device: Device, fields: Sequence[_TuningField], progress: Progress | None
) -> list[FiberMaps]:
    networks = networks_by_set(model, device)
    maps = []
    for number, field in enumerate(fields, start=1):
        maps.append(whole_maps(networks[field.kind], field.image))
        if progress:
            progress("predict", number, len(fields))
    return maps


def _weights(fields: Sequence[_TuningField]) -> list[float]:
    """Let the real fibers, which are few, count as much in all as the synthetic ones."""
    real, drawn = (
        sum(len(np.unique(f.labels)) - 1 for f in fields if f.real == is_real)
        for is_real in (True, False)
    )
    return [drawn / real if f.real and real and drawn else 1.0 for f in fields]


def _tuning_fields(
    images: list[TrainingImage], sections: int, progress: Progress | None
) -> list[_TuningField]:
    fields = [
        _TuningField(
            i.image,
            i.labels,
            i.truth.fibers[..., 3] == 0,
            threshold_set("auto", fluorescent=_is_gray(i.image)),
            real=True,
            nuclei=i.nuclei,
        )
        for i in images
    ]
    for n in range(sections):
        section = render_training_section(TUNING_SEED + n)
        stain = section.params.stain
        picture = normalized_section(section.image, np.random.default_rng(n))
        kind = threshold_set(stain, fluorescent=stain == "if")
        nuclei = section.nuclei_labels if shows_nuclei(stain) else None
        ignore = section.doubtful if section.doubtful.any() else None
        fields.append(
            _TuningField(picture, section.labels, ignore, kind, real=False, nuclei=nuclei)
        )
        if progress:
            progress("render", n + 1, sections)
    return fields


def _is_gray(image: NDArray[np.float32]) -> bool:
    return bool(np.array_equal(image[::16, ::16, 0], image[::16, ::16, 2]))


def whole_maps(network: MapNetwork, image: NDArray[np.float32]) -> FiberMaps:
    """Maps of a whole normalized picture, cut to even sides."""
    height, width = image.shape[:2]
    pad = [(0, -n % STRIDE_PX) for n in (height, width)]
    padded = np.pad(image, [*pad, (0, 0)], mode="edge")
    maps = network.predict([padded], NO_CONTEXT)[0]
    return maps.cut(0, 0, height + height % 2, width + width % 2)
