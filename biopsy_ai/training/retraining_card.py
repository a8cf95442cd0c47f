"""What the card of a retrained model says of the comparison with the one that it began from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def retraining_part(spec: Mapping[str, Any]) -> list[str]:
    """Lines of the card; none for a model that was not compared with another.

    Parameters
    ----------
    spec
        Content of ``model.yaml``.
    """
    comparison = spec.get("comparison")
    if comparison is None:
        return []
    held_out = comparison.get("held_out")
    ready = "Ready for use." if spec.get("ready") else "**Not ready for use.**"
    lines = [
        "## Compared with the model it began from",
        "",
        f"{ready} {spec.get('ready_reason', '')}".strip(),
        "",
        "F1 at IoU 0.5 of all fibers together, with 95 % intervals from a bootstrap by patient or "
        "slide:",
        "",
        "| slides | fibers | old | new | change |",
        "| --- | --- | --- | --- | --- |",
    ]
    for title, found in (("held out", held_out), ("synthetic samples", comparison["samples"])):
        if found is not None:
            cells = [_interval(found[which]) for which in ("old", "new", "gain")]
            lines.append(
                f"| {title} ({found['n_slides']}) | {found['n_fibers']} | {' | '.join(cells)} |"
            )
    if held_out is None:
        lines.append("| held out | none | – | – | – |")
        return [*lines, ""]
    lines += [
        "",
        "| held-out slide | fibers | old | new | license |",
        "| --- | --- | --- | --- | --- |",
    ]
    licenses = {item["image"]: item["license"] for item in spec.get("held_out", [])}
    lines += [
        f"| {_cell(one['slide'])} | {one['n_fibers']} | {_number(one['old_f1'])} | "
        f"{_number(one['new_f1'])} | {_cell(licenses.get(one['slide'], 'not stated'))} |"
        for one in held_out["slides"]
    ]
    return [*lines, ""]


def _interval(found: Mapping[str, float | None]) -> str:
    if found["low"] is None:
        return _number(found["f1"])
    return f"{_number(found['f1'])} ({_number(found['low'])} to {_number(found['high'])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(text: object) -> str:
    """Text that cannot end its cell of a table."""
    return str(text).replace("|", "/").replace("\n", " ")
