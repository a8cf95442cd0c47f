"""Markdown tables, as README and model card quote them."""

from __future__ import annotations

import math
from collections.abc import Iterable


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Format a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float, form: str = ".3f") -> str:
    """Format a number; a dash where there is none."""
    return "–" if math.isnan(value) else format(value, form)
