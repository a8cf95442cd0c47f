"""Train the network on synthetic and real sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biopsy_ai.training.checking import check_dataset
    from biopsy_ai.training.relearning import relearn_rules
    from biopsy_ai.training.retraining import retrain
    from biopsy_ai.training.run import train_model, tune_model
    from biopsy_ai.training.settings import TrainConfig

__all__ = [
    "TrainConfig",
    "check_dataset",
    "relearn_rules",
    "retrain",
    "train_model",
    "tune_model",
]

# Imported when asked for: the command line reads the settings, and must not wait for torch.
_HOMES = {
    "TrainConfig": "settings",
    "check_dataset": "checking",
    "relearn_rules": "relearning",
    "retrain": "retraining",
    "train_model": "run",
    "tune_model": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
