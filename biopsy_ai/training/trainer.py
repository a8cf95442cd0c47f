"""The training loop: seeded, resumable, logging to CSV and TensorBoard."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils.data import DataLoader

from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.files import replacing
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.activation_ranges import measure_ranges
from biopsy_ai.segmentation.device import has_bfloat16
from biopsy_ai.segmentation.network import HEADS, FiberNet, begin_from
from biopsy_ai.training.dataset import Sample, SectionCrops
from biopsy_ai.training.fingerprint import check_fingerprint
from biopsy_ai.training.losses import total_loss
from biopsy_ai.training.settings import PARTS, TrainConfig

logger = logging.getLogger(__name__)

CHECKPOINT_FILE, LOG_FILE = "checkpoint.pt", "training.csv"

LOG_EVERY = 25
"""Steps between two lines of the log, and two reports."""

RANGE_CROPS = 32
"""Crops in which it is measured how large the values of a network become. [default]"""

HEAD_OF = dict(zip(PARTS, HEADS, strict=True))
"""Name of the head that draws a part."""

Report: TypeAlias = Callable[[int, float, FiberNet], None]
"""Called as ``report(step, mean loss since the last one, network with averaged weights)``."""


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a half cosine down to 1 % of the highest rate."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    cosine = 0.5 * (1 + torch.cos(torch.tensor(min(done, 1.0) * torch.pi)).item())
    return config.learning_rate * (0.01 + 0.99 * cosine)


def train_network(
    crops: SectionCrops,
    folder: str | Path,
    config: TrainConfig,
    *,
    fingerprint: Mapping[str, Any],
    architecture: dict[str, object] | None = None,
    start: dict[str, torch.Tensor] | None = None,
    keep_statistics: bool = False,
    tensorboard: bool = True,
    device: str = "cpu",
    report: Report | None = None,
    progress: Progress | None = None,
) -> FiberNet:
    """Train a network, going on from the checkpoint in `folder` if there is one.

    Parameters
    ----------
    folder
        Gets ``checkpoint.pt``, ``training.csv`` and TensorBoard logs.
    fingerprint
        What the network is trained with (`run_fingerprint`); a checkpoint must agree in it.
    start
        Weights to begin from, such as those of a shipped model; see `begin_from`.
    keep_statistics
        Leave the statistics of batch normalization as they are: a few pictures would spoil what
        many have settled.
    tensorboard
        Log for TensorBoard too.
    report
        Called every `LOG_EVERY` steps, and after the last one.

    Returns
    -------
    FiberNet
        The network with averaged weights, in evaluation mode.

    Raises
    ------
    ConfigError
        If the checkpoint comes from another training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = FiberNet(**(architecture or {}))  # type: ignore[arg-type]
    if start is not None:
        begin_from(network, start)
    network = network.to(device).to(memory_format=torch.channels_last)
    average = deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        _learning(network, config.only), config.learning_rate, weight_decay=config.weight_decay
    )
    step = 0
    state = read_checkpoint(folder, fingerprint, steps=config.steps, device=device)
    if state is not None:
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = int(state["step"])
        logger.info("going on from step %d", step)
    crops.seed = config.seed + step
    loader = DataLoader(
        crops,
        batch_size=config.batch,
        num_workers=config.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if config.workers else None,
        # a forked worker would hang on the thread pools that OpenCV and OpenMP have started
        multiprocessing_context="spawn" if config.workers else None,
    )
    log = folder / LOG_FILE
    started, seen, total, since = time.monotonic(), 0, 0.0, 0
    network.train()
    if keep_statistics or config.only:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    writer = _writer(folder) if tensorboard else None
    half = device != "cpu" or has_bfloat16()
    for batch in loader if step < config.steps else ():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        images = batch.image.to(device, memory_format=torch.channels_last)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            logits = network(images)
        loss = total_loss(logits, Sample(*(part.to(device) for part in batch)), config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        _update_average(average, network, min(config.average, (1 + step) / (10 + step)))
        step += 1
        seen += len(images)
        total += loss.item()
        since += 1
        if progress:
            progress("train", step, config.steps)
        if step % LOG_EVERY == 0:
            row = {
                "step": step,
                "loss": round(total / since, 5),
                "learning_rate": optimizer.param_groups[0]["lr"],
                "crops_per_s": round(seen / (time.monotonic() - started), 2),
            }
            _append(log, row)
            if writer is not None:
                writer.add_scalar("loss", row["loss"], step)
        if step % config.checkpoint_every == 0 or step == config.steps:
            with replacing(folder / CHECKPOINT_FILE) as temporary:
                torch.save(
                    {
                        "network": network.state_dict(),
                        "average": average.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": step,
                        "config": asdict(config),
                        "fingerprint": dict(fingerprint),
                    },
                    temporary,
                )
        if step % LOG_EVERY == 0 or step == config.steps:
            if report:
                report(step, total / since, average)
            total, since = 0.0, 0
        if step >= config.steps:
            break
    if writer is not None:
        writer.close()
    return average


def _learning(network: FiberNet, only: str) -> list[nn.Parameter]:
    """Parameters that learn: those of one head, or all."""
    if only:
        network.requires_grad_(False)
        network.get_submodule(HEAD_OF[only]).requires_grad_(True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def crop_ranges(network: FiberNet, crops: SectionCrops) -> dict[str, float]:
    """Measure how large the values of a network become in what it was trained on.

    Returns
    -------
    dict
        As `measure_ranges` gives it.
    """
    return measure_ranges(network, (sample.image for sample in islice(crops, RANGE_CROPS)))


def _writer(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def read_checkpoint(
    folder: Path, fingerprint: Mapping[str, Any], *, steps: int, device: str = "cpu"
) -> dict[str, Any] | None:
    """Read the checkpoint in a folder, if there is one.

    Raises
    ------
    ConfigError
        If it comes from another training, or from a longer one than `steps`.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    check_fingerprint(path, state.get("fingerprint"), fingerprint)
    if state["step"] > steps:
        raise ConfigError(
            f"{path}: was trained for {state['step']} steps already, {steps} are asked for. Give "
            "at least as many with --steps, choose another folder with --work, or delete it."
        )
    return state


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(
            average.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def _append(path: Path, row: dict[str, object]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            table.writeheader()
        table.writerow(row)
