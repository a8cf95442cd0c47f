"""Markdown tables, as README and model card quote them."""

from __future__ import annotations

import math
from collections.abc import Iterable


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Format a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def read_table(text: str) -> list[dict[str, str]]:
    """Read the first Markdown table of a text: a row each, by the names of the columns."""
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if line.startswith("|")), len(lines))
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def number(value: float, form: str = ".3f") -> str:
    """Format a number; a dash where there is none."""
    return "–" if math.isnan(value) else format(value, form)


def share(value: float, digits: int = 1) -> str:
    """Format a share in percent; a dash where there is none."""
    return number(100 * value, f".{digits}f") + (" %" if not math.isnan(value) else "")
