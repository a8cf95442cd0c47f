"""What a person may say of a fiber."""

from __future__ import annotations

from biopsy_ai.errors import ReviewError
from biopsy_ai.measure.condition import CONDITIONS
from biopsy_ai.patterns.stain_polarity import TYPES, UNDETERMINED

NORMAL = "normal"
"""Condition of a fiber with which nothing is wrong."""

TYPE_WORDS = (*TYPES, UNDETERMINED)
"""Types that a person may set."""

CONDITION_WORDS = (*CONDITIONS, NORMAL)
"""Conditions that a person may set; several of the first ones parted by ";"."""

MAX_REASON = 200
"""Longest reason of an exclusion, characters."""


def check_type(name: str) -> str:
    """Give a type that may be set, or raise `ReviewError`."""
    if name not in TYPE_WORDS:
        raise ReviewError(f"{name!r} is no fiber type. Choose one of {', '.join(TYPE_WORDS)}.")
    return name


def check_condition(name: str) -> str:
    """Give a condition that may be set, or raise `ReviewError`."""
    parts = name.split(";")
    if name != NORMAL and not (set(parts) <= set(CONDITIONS) and len(set(parts)) == len(parts)):
        raise ReviewError(
            f"{name!r} is no condition of a fiber. Choose one of {', '.join(CONDITION_WORDS)}, or "
            'several of them parted by ";".'
        )
    return name


def check_reason(reason: str) -> str:
    """Give a reason of exclusion that may be set, in one line, or raise `ReviewError`."""
    reason = " ".join(reason.split())
    if not reason:
        raise ReviewError("say why the fiber is left out: the reason stands in the report.")
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise ReviewError(f"give the reason in one line of at most {MAX_REASON} characters.")
    return reason
