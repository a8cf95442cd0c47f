"""What training is made from, written down so that no run goes on from the work of another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from biopsy_ai.checksum import file_sha256, files_sha256
from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import ConfigError, OutlineReadError
from biopsy_ai.training.settings import TrainConfig

_FREE = ("steps", "workers", "checkpoint_every")
"""Settings that may change when a run goes on: how long and on what, not what is learned."""

_SHOWN = 4
"""So many differences are named in an error."""


def bank_fingerprint(
    seed: int, outline_files: Sequence[Path] = (), adipose: Sequence[Path] = ()
) -> dict[str, Any]:
    """What the sections of a bank are made from: seed, generator, real outlines, real fat.

    Raises
    ------
    OutlineReadError
        If a file with outlines or fat cannot be read.
    """
    package = Path(__file__).parents[1]
    # A hash of the sources, not a version: the generator changes between versions.
    sources = [*package.glob("synthesis/*.py"), *package.glob("synthesis/*.yaml")]
    sources += [package / "training" / name for name in ("bank.py", "targets.py")]
    return {
        "seed": seed,
        "mpp": OUTLINE_MPP,
        "generator": files_sha256(sources, package),
        "outlines": [outline_record(path) for path in outline_files],
        "adipose": [outline_record(path) for path in adipose],
    }


def outline_record(path: Path) -> dict[str, str]:
    """Name and hash of a file that some sections are laid out or painted with."""
    try:
        return {"file": path.name, "sha256": file_sha256(path)}
    except OSError as error:
        raise OutlineReadError(
            f"{path}: the file cannot be read ({error.strerror}). Check --outlines and --adipose."
        ) from error


def run_fingerprint(
    config: TrainConfig,
    *,
    architecture: Mapping[str, Any],
    bank: Mapping[str, Any],
    sections: int,
    real: Sequence[Mapping[str, Any]] = (),
    start: str | None = None,
) -> dict[str, Any]:
    """What a network is trained with, all that a checkpoint must agree in.

    Parameters
    ----------
    config
        Its number of steps may change, so that a run can be made longer.
    bank
        From `bank_fingerprint`.
    sections
        Sections taken from the bank.
    real
        Origin of each real image (`TrainingImage.origin`).
    start
        Hash of the weights to begin from.
    """
    settings = asdict(config)
    if not config.only:  # as runs began that knew no such setting
        del settings["only"]
    content = {key: value for key, value in settings.items() if key not in _FREE} | {
        "architecture": architecture,
        "start weights": start,
        "sections": sections,
        "bank": bank,
        "real": real,
    }
    # As it comes back from a file: tuples are lists.
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def check_fingerprint(path: Path, stored: object, wanted: Mapping[str, Any]) -> None:
    """Refuse what was made otherwise.

    Parameters
    ----------
    path
        Checkpoint, or folder of the bank.
    stored
        The fingerprint that it carries, if it does.

    Raises
    ------
    ConfigError
        Names what differs and what to do.
    """
    if not isinstance(stored, Mapping):
        reason = "does not say what it was made from (an older version wrote it)"
    else:
        differing = _differences(stored, wanted)
        if not differing:
            return
        named = "; ".join(differing[:_SHOWN])
        more = len(differing) - _SHOWN
        reason = f"was made otherwise ({named}{f'; and {more} more' if more > 0 else ''})"
    raise ConfigError(
        f"{path}: {reason}. Choose another folder with --work, or delete it; to go on from it, "
        "repeat the command that began it."
    )


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    there, now = _flat(stored), _flat(wanted)
    return [
        f"{key}: {_shown(there.get(key))} there, {_shown(now.get(key))} now"
        for key in {**now, **there}
        if there.get(key) != now.get(key)
    ]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Single values under names such as ``real 2 mpp``."""
    if not isinstance(value, Mapping | list):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value, start=1):
        flat |= _flat(item, f"{name} {key}".strip())
    return flat


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
