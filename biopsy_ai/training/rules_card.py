"""What the card of a model says of rules that were refitted to corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biopsy_ai.learned_rules import RULES
from biopsy_ai.measure.condition import CONDITIONS


def rules_lines(spec: Mapping[str, Any]) -> list[str]:
    """Lines of the card; none for a model whose rules were never refitted.

    Parameters
    ----------
    spec
        Content of ``model.yaml``.
    """
    rules = spec.get(RULES)
    if not rules:
        return []
    lines = ["## Rules of conditions and types", ""]
    network = rules.get("network_of")
    if network:
        lines += [f"The network is that of {network['name']} {network['version']}.", ""]
    refitted = rules.get("refitted") or []
    done = "Refitted to" if refitted else "Looked at:"
    lines += [
        f"{done} {rules.get('n_fibers', 0)} reviewed fibers of {rules.get('n_slides', 0)} "
        f"slides, {rules.get('n_corrected', 0)} of them corrected, and judged on slides that were "
        f"held out: {_names(rules.get('held_out', ()))}. Learned from: "
        f"{_names(rules.get('learned_from', ()))}.",
        "",
    ]
    if refitted:
        lines += [
            "| rule | numbers | learned from | held out | precision | recall | F1 or agreement | "
            "log loss | taken over |",
            f"|{' --- |' * 9}",
            *(_row(rule) for rule in refitted),
            "",
            "Cells have the old and the new rule, and counts are of fibers with the condition or "
            "of type I. F1 is that of a condition, agreement the share of fibers whose type is "
            "called as people say.",
            "",
            *(f"- {_title(rule)}: {rule['reason']}" for rule in refitted),
            "",
        ]
    if not rules.get("limits") and not rules.get("types"):
        return [*lines, "No rule was taken over: those that come with biopsy-ai are in force.", ""]
    in_force = [f"`{name}` {value:g}" for name, value in rules["limits"].items()]
    in_force += [
        f"types in {stain}: slope {border['slope']:g}, offset {border['offset']:g}"
        for stain, border in rules["types"].items()
    ]
    return [*lines, f"In force: {', '.join(in_force)} ({rules['source']}).", ""]


def _row(rule: Mapping[str, Any]) -> str:
    numbers = ", ".join(
        f"{name} {one['old']:g} → {'–' if one['new'] is None else format(one['new'], 'g')}"
        for name, one in rule["numbers"].items()
    )
    found = rule["held_out"]
    cells = [_title(rule), numbers, f"{rule['n_yes']} of {rule['n_fibers']}"]
    if found is None:
        cells += ["none", *["–"] * 4]
    else:
        cells.append(f"{found['n_yes']} of {found['n_fibers']}, {found['n_groups']} slides")
        for name in ("precision", "recall", found["judged_by"], "log_loss"):
            old, new = (_number(found[which][name]) for which in ("old", "new"))
            cells.append(f"{old} → {new}")
    cells.append("yes" if rule["taken"] else "no")
    return f"| {' | '.join(cells)} |"


def _title(rule: Mapping[str, Any]) -> str:
    return str(rule["name"]) if rule["name"] in CONDITIONS else f"types in {rule['name']}"


def _names(items: Any) -> str:
    """Names of pictures, in text that cannot end a cell or a line."""
    names = [str(item["image"]).replace("|", "/").replace("\n", " ") for item in items]
    return ", ".join(names) or "none"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
