"""How a report writes numbers, intervals, shares and sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

MARKS = {
    "P": "primary source read",
    "P-ocr": "primary source read, through poor OCR",
    "S": "secondary source read",
    "M": "from memory, unverified",
    "D": "derived by calculation or simulation",
    "E": "engineering proposal without literature behind the number, to be calibrated",
    "default": "a setting that the user can change",
    "user": "set by the user",
    "learned": "refitted to what people corrected",
}
"""How far a number can be trusted, by its mark."""

MISSING = "–"
"""Where a number is missing."""

MINUS = "−"


def number(value: Any, digits: int = 3) -> str:
    """Write a number with significant digits, whole ones with separators of thousands."""
    if not is_number(value):
        return MISSING
    if isinstance(value, int) or float(value).is_integer():
        text = f"{int(value):,}"
    else:
        rounded = float(f"{value:.{digits}g}")
        exponent = math.floor(math.log10(abs(rounded)))
        text = f"{rounded:,.{max(0, digits - 1 - exponent)}f}"
        if exponent >= digits:
            text = f"{value:,.0f}"
    return text.replace("-", MINUS)


def setting(value: Any) -> str:
    """Write a number that was chosen, without zeros at its end."""
    return f"{value:,.6g}".replace("-", MINUS) if is_number(value) else MISSING


def fixed(value: Any, decimals: int, *, signed: bool = False) -> str:
    """Write a number with so many decimals, with its sign where wanted."""
    if not is_number(value):
        return MISSING
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    zero = not any(digit in text for digit in "123456789")
    return text.lstrip("+-") if zero else text.replace("-", MINUS)


def interval(low: Any, high: Any, *, decimals: int | None = None) -> str:
    """Write an interval; empty where an end is missing."""
    if not (is_number(low) and is_number(high)):
        return ""
    ends = [number(end) if decimals is None else fixed(end, decimals) for end in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def p_value(p: Any) -> str:
    """Write a p value."""
    if not is_number(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: Any, digits: int = 3) -> str:
    """Write a share as percent."""
    return f"{number(100 * share, digits)} %" if is_number(share) else MISSING


def source_of(reference: Mapping[str, Any] | None) -> str:
    """Write where a number comes from, with its mark."""
    if not reference or not reference.get("source"):
        return ""
    mark = reference.get("mark")
    return f"{reference['source']} [{mark}]" if mark else str(reference["source"])


def with_unit(text: str, unit: Any) -> str:
    """Write a unit behind a number, unless the number is missing."""
    return f"{text} {unit}" if unit and text != MISSING else text


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value is a finite number."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value)


def first_upper(text: str) -> str:
    """Begin a text with a capital letter, and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: Any) -> str:
    """End a text with a full stop; empty stays empty."""
    words = first_upper(str(text or "").strip())
    return words if not words or words[-1] in ".!?" else f"{words}."
