"""A model that went on learning: where it goes, what it was learned from, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.errors import ConfigError
from biopsy_ai.learned_rules import RULES
from biopsy_ai.segmentation.model import SPEC_FILE
from biopsy_ai.training.card import ancestry
from biopsy_ai.training.judging import Comparison, Verdict
from biopsy_ai.training.loading import LoadedItem
from biopsy_ai.training.rules import LearnedRules

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model


@dataclass(frozen=True, eq=False)
class Retrained:
    """A model that went on learning.

    Attributes
    ----------
    folder
        Where it stands.
    held_out
        Old and new on slides that were not learned from; None if there were none.
    samples
        Old and new on the synthetic samples; None in an installation without.
    seconds
        That this call took.
    rules
        Rules of conditions and types that were refitted; None if there was nothing to learn them
        from, or they were not asked for.
    """

    folder: Path
    verdict: Verdict
    held_out: Comparison | None
    samples: Comparison | None
    seconds: float
    rules: LearnedRules | None = None


def learned_from(spec: Mapping[str, Any]) -> set[str]:
    """Slides, and hashes of pictures, that a model and those before it have learned from."""
    seen: set[str] = set()
    for part in ancestry(spec):
        seen |= _named(part.get("trained_on", ()))
    rules: Mapping[str, Any] | None = spec.get(RULES)
    while rules:
        seen |= _named(rules.get("learned_from", ()))
        rules = rules.get("before")
    return seen


def _named(items: Any) -> set[str]:
    return {str(item[key]) for item in items for key in ("slide", "image_sha256") if key in item}


def check_out(out: Path, base: Model, *, overwrite: bool) -> None:
    """Refuse to write over a model unasked, and ever over the one to begin from."""
    if not (out / SPEC_FILE).exists():
        return
    if out.resolve() == base.folder.resolve():
        raise ConfigError(
            f"{out}: this is the model to begin from. Choose another folder with --out."
        )
    if not overwrite:
        raise ConfigError(
            f"{out}: a model stands there already. Choose another folder with --out, or give "
            "--overwrite."
        )


def record(one: LoadedItem) -> dict[str, Any]:
    """What the model card keeps of a picture."""
    item = one.item
    return {
        "image": item.name,
        "slide": item.slide,
        "license": item.options.license,
        **{
            key: one.origin[key]
            for key in ("image_sha256", "labels_sha256", "measured_sha256")
            if one.origin.get(key)
        },
        "n_fibers": one.n_fibers,
        **({"patient": item.patient} if item.patient else {}),
        **({"reviewers": list(item.reviewers), "n_edits": item.n_edits} if item.reviewers else {}),
    }
