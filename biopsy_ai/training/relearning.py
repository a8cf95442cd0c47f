"""A model whose rules of conditions and types go on learning, beside its network or alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.formats.files import output_folder
from biopsy_ai.learned_rules import RULES, rules_of
from biopsy_ai.segmentation.model import load_model, save_model
from biopsy_ai.training.checking import CheckedDataset, check_measured
from biopsy_ai.training.collection import ItemOptions
from biopsy_ai.training.judging import Verdict
from biopsy_ai.training.retrained import Retrained, check_out, learned_from, record
from biopsy_ai.training.rules import LearnedRules, learn_rules
from biopsy_ai.training.run import folder_card

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model


def relearn_rules(
    path: str | Path,
    out: str | Path,
    *,
    start: str | Path = "muscle",
    name: str | None = None,
    version: str = "1",
    options: ItemOptions | None = None,
    held_out: Collection[str] = (),
    skip_problems: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    told: Callable[[CheckedDataset], None] | None = None,
) -> Retrained:
    """Refit the rules of a model to reviewed fibers, and leave its network as it is.

    Takes seconds. Parameters and errors are those of
    `biopsy_ai.training.retraining.retrain`. The model is ready if the one to begin from is, and a
    rule earned its place.
    """
    began = time.monotonic()
    out = Path(out)
    base = load_model(start)
    check_out(out, base, overwrite=overwrite)
    checked = check_measured(
        path, options=options, held_out=held_out, seen=learned_from(base.spec), seed=seed
    )
    if told:
        told(checked)
    checked.refuse_problems(skip=skip_problems)
    name = name or out.resolve().name
    rules = learn_from_reviews(checked, base, model=f"{name} {version}", seed=seed)
    assert rules is not None
    reasons = tuple(text for text in (base.warning, rules.summary) if text)
    verdict = Verdict(bool(rules.taken) and not base.warning, reasons)
    spec = {
        **base.spec,
        "name": name,
        "version": version,
        "ready": verdict.ready,
        "ready_reason": verdict.text,
        RULES: rules_part(checked, base, rules)
        | {"network_of": {"name": base.name, "version": base.spec["version"]}},
    }
    output_folder(out)
    save_model(out, base.unfolded(), spec, card=folder_card(out, spec))
    return Retrained(out, verdict, None, None, time.monotonic() - began, rules)


def learn_from_reviews(
    checked: CheckedDataset, base: Model, *, model: str, seed: int
) -> LearnedRules | None:
    """Refit the rules of a model to the reviewed fibers of a dataset; None where it has none."""
    training, held_out = (checked.fibers_of(k) for k in (checked.training, checked.held_out))
    if not training:
        return None
    return learn_rules(training, held_out, rules_of(base.spec), model=model, seed=seed)


def rules_part(checked: CheckedDataset, base: Model, rules: LearnedRules | None) -> dict[str, Any]:
    """The part of ``model.yaml`` with the rules; that of the old model if none were refitted."""
    before: dict[str, Any] = base.spec.get(RULES) or {}
    if rules is None:
        return before
    training, held_out = (
        [record(one) for k in part if (one := checked.items[k]).item.measured is not None]
        for part in (checked.training, checked.held_out)
    )
    return {
        **rules.in_force.model_dump(mode="json"),
        **rules.as_dict(),
        "learned_from": training,
        "held_out": held_out,
        **({"before": before} if before else {}),
    }
