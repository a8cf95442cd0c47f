"""Go on training a model on a user's own slides, and see whether it earns its place."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.files import output_folder
from biopsy_ai.learned_rules import RULES
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.activation_ranges import KEY
from biopsy_ai.segmentation.device import choose_device, keep_memory
from biopsy_ai.segmentation.model import load_model, save_model
from biopsy_ai.training.bank import claim_bank, render_bank
from biopsy_ai.training.checking import CheckedDataset, check_dataset
from biopsy_ai.training.collection import ItemOptions
from biopsy_ai.training.fingerprint import bank_fingerprint, run_fingerprint
from biopsy_ai.training.held_out import (
    JudgedSlide,
    as_model,
    count_slides,
    judged_items,
    judged_samples,
    watched_parts,
)
from biopsy_ai.training.judging import Comparison, Counts, SlideScore, compare, judge
from biopsy_ai.training.losses import unweigh_classes
from biopsy_ai.training.own_crops import OwnCrops
from biopsy_ai.training.relearning import learn_from_reviews, rules_part
from biopsy_ai.training.retrained import Retrained, check_out, learned_from, record
from biopsy_ai.training.run import ancestor, folder_card, weights_to_train, work_folder
from biopsy_ai.training.settings import FINE_SECTIONS, FINE_TUNING, TrainConfig
from biopsy_ai.training.trainer import (
    CHECKPOINT_FILE,
    LOG_EVERY,
    LOG_FILE,
    crop_ranges,
    read_checkpoint,
    train_network,
)

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model
    from biopsy_ai.segmentation.device import Device
    from biopsy_ai.segmentation.network import FiberNet

WATCH_EVERY = 2 * LOG_EVERY
"""Steps between two looks at the held-out slides. [default]"""


@dataclass(frozen=True)
class TrainingStep:
    """How far a training is.

    Attributes
    ----------
    loss
        Mean since the last report; None before the first step.
    held_out_f1
        On parts of the held-out slides; None where there are none, or was not looked.
    """

    step: int
    steps: int
    loss: float | None
    held_out_f1: float | None


StepReport: TypeAlias = Callable[[TrainingStep], None]


def retrain(
    path: str | Path,
    out: str | Path,
    *,
    start: str | Path = "muscle",
    name: str | None = None,
    version: str = "1",
    work: str | Path | None = None,
    options: ItemOptions | None = None,
    config: TrainConfig = FINE_TUNING,
    sections: int = FINE_SECTIONS,
    held_out: Collection[str] = (),
    rules: bool = True,
    skip_problems: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    told: Callable[[CheckedDataset], None] | None = None,
    report: StepReport | None = None,
    progress: Progress | None = None,
) -> Retrained:
    """Train a model further on a user's own slides and write its folder.

    The data are checked first. Whole patients, or else slides, are held out; old and new model
    are compared on them and on the synthetic samples, and ``model.yaml`` says whether the new one
    is ready to take the place of the old one, and why.

    Parameters
    ----------
    path
        Folder or list, see `find_dataset`.
    out
        Model folder to write.
    start
        Model to begin from: its name or folder.
    name
        Of the model; the name of its folder if None.
    work
        Folder for checkpoints and the synthetic sections; a killed run goes on from there. By
        default beside `out`, with ``-work`` after its name, and begun anew for other data.
    options
        What holds of all pictures that do not say it themselves.
    config, sections
        How to train, and how many synthetic sections to render against forgetting.
    held_out
        Names of pictures, slides or patients to judge on; chosen if empty.
    rules
        Whether rules of conditions and types are refitted, too, where there are reviewed fibers;
        see `biopsy_ai.training.relearning`.
    skip_problems
        Leave out pictures with problems instead of stopping.
    overwrite
        Write over a model that stands in `out`.
    told
        Called once, with what was found, before anything is trained.
    report
        Called with the loss and the F1 on held-out slides as training goes on.

    Raises
    ------
    TrainingDataError
        Something is wrong with the data; the message lists everything.
    ConfigError
        A setting cannot be used, or `work` holds the work of another training.
    ModelError, OutputError
        The model cannot be read, or nothing can be written to `out`.
    """
    began = time.monotonic()
    out = Path(out)
    own_work = work is None
    work = work_folder(out) if work is None else Path(work)
    chosen = choose_device(device)
    base = load_model(start)
    check_out(out, base, overwrite=overwrite)
    try:
        checked = check_dataset(
            path,
            work,
            options=options,
            held_out=held_out,
            seen=learned_from(base.spec),
            seed=config.seed,
            progress=progress,
        )
        if told:
            told(checked)
        checked.refuse_problems(skip=skip_problems)
        training = [checked.items[k] for k in checked.training]
        fingerprint = run_fingerprint(
            config,
            architecture=base.spec["architecture"],
            bank=bank_fingerprint(config.seed),
            sections=sections,
            real=[one.origin for one in training],
            start=base.weights_sha256,
        )
        if own_work:
            _clear_other(work, fingerprint, config)
        read_checkpoint(work, fingerprint, steps=config.steps)
        output_folder(out)
        workers = min(sections, os.cpu_count() or 1)
        bank = render_bank(
            work / "bank", sections, seed=config.seed, workers=workers, progress=progress
        )
        held = [checked.items[k] for k in checked.held_out]
        slides = judged_items(held, [checked.groups[k] for k in checked.held_out])
        samples = judged_samples()
        old = count_slides(base, [*slides, *samples], chosen, progress=progress)
        crops = OwnCrops(training, bank, crop_px=config.crop_px, own_share=config.real_share)
        network = _trained(base, crops, work, config, fingerprint, slides, chosen, report, progress)
        ranges = crop_ranges(network, crops)
        trained = as_model(network, base, ranges)
        new = count_slides(trained, [*slides, *samples], chosen, progress=progress)
        refitted = None
        name = name or out.resolve().name
        if rules:
            refitted = learn_from_reviews(
                checked, base, model=f"{name} {version}", seed=config.seed
            )
    finally:
        # Made anew by every call, and large.
        shutil.rmtree(work / "items", ignore_errors=True)
    n = len(slides)
    on_held_out = _compared(slides, old[:n], new[:n]) if slides else None
    on_samples = _compared(samples, old[n:], new[n:]) if samples else None
    verdict = judge(on_held_out, on_samples)
    spec = {
        "name": name,
        "version": version,
        "ready": verdict.ready,
        "ready_reason": verdict.text,
        "architecture": base.spec["architecture"],
        KEY: ranges,
        **{key: base.spec[key] for key in base.spec if key.endswith("thresholds")},
        "training": asdict(config) | {"sections": sections},
        "trained_on": [record(one) for one in training],
        "held_out": [record(one) for one in held],
        "comparison": {
            "held_out": on_held_out.as_dict() if on_held_out else None,
            "samples": on_samples.as_dict() if on_samples else None,
        },
        "start": ancestor(base),
    }
    if learned := rules_part(checked, base, refitted):
        spec[RULES] = learned
    save_model(out, network, spec, card=folder_card(out, spec))
    seconds = time.monotonic() - began
    return Retrained(out, verdict, on_held_out, on_samples, seconds, refitted)


def _clear_other(work: Path, fingerprint: Mapping[str, Any], config: TrainConfig) -> None:
    """Begin anew where work on other data stands: it was minutes, in a folder that nobody named."""
    try:
        claim_bank(work / "bank", fingerprint["bank"])
        read_checkpoint(work, fingerprint, steps=config.steps)
    except ConfigError:
        for name in (CHECKPOINT_FILE, LOG_FILE):
            (work / name).unlink(missing_ok=True)
        shutil.rmtree(work / "bank", ignore_errors=True)


def _trained(
    base: Model,
    crops: OwnCrops,
    work: Path,
    config: TrainConfig,
    fingerprint: dict[str, Any],
    held_out: Sequence[JudgedSlide],
    device: Device,
    report: StepReport | None,
    progress: Progress | None,
) -> FiberNet:
    """Train the network of a model further; what it draws of held-out slides is reported."""
    parts = watched_parts(held_out)

    def watched(model: Model) -> float | None:
        if not parts:
            return None
        counts = count_slides(model, parts, device)
        return _pooled(counts).f1

    def tell(step: int, loss: float, network: FiberNet) -> None:
        if report is None:
            return
        look = step % WATCH_EVERY == 0 or step == config.steps
        f1 = watched(as_model(_settled(network), base)) if look else None
        report(TrainingStep(step, config.steps, loss, f1))

    if report is not None:
        report(TrainingStep(0, config.steps, None, watched(base)))
    if device.is_cpu:
        keep_memory()
    network = train_network(
        crops,
        work,
        config,
        fingerprint=fingerprint,
        architecture=base.spec["architecture"],
        start=weights_to_train(base),
        keep_statistics=True,
        tensorboard=False,
        device=device.name,
        report=tell,
        progress=progress,
    ).cpu()
    unweigh_classes(network)
    return network


def _settled(network: FiberNet) -> FiberNet:
    """A copy of a network in training, as it would be saved now."""
    copy = deepcopy(network)
    unweigh_classes(copy)
    return copy


def _pooled(counts: Sequence[Counts]) -> Counts:
    return Counts(
        sum(c.found for c in counts), sum(c.extra for c in counts), sum(c.missed for c in counts)
    )


def _compared(
    slides: Sequence[JudgedSlide], old: Sequence[Counts], new: Sequence[Counts]
) -> Comparison:
    return compare(
        [SlideScore(s.name, s.group, a, b) for s, a, b in zip(slides, old, new, strict=True)]
    )
