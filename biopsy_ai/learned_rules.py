"""What a model has learned of conditions and types beside its network, and where it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from biopsy_ai.config import AnalysisConfig, RulesConfig
from biopsy_ai.errors import ModelError

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model

RULES = "rules"
"""Part of ``model.yaml`` that holds what was learned, and how it was judged."""


def rules_of(spec: Mapping[str, Any]) -> RulesConfig:
    """Read the rules that are in force from the description of a model.

    Parameters
    ----------
    spec
        Content of ``model.yaml``.

    Raises
    ------
    ModelError
        They are not those of this version of biopsy-ai.
    """
    found = spec.get(RULES)
    if not found:
        return RulesConfig()
    try:
        return RulesConfig(**{name: found[name] for name in RulesConfig.model_fields})
    except (ValidationError, KeyError, TypeError) as error:
        raise ModelError(
            f"the rules cannot be read ({error}). The model was made for another version of "
            "biopsy-ai."
        ) from error


def with_rules(config: AnalysisConfig, model: Model | None) -> AnalysisConfig:
    """Give the settings with the rules of the model that takes part, or without any."""
    learned = RulesConfig() if model is None else rules_of(model.spec)
    return config if config.rules == learned else config.model_copy(update={"rules": learned})
