"""One line of the review log: what a person changed, when, and what was there before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from biopsy_ai.errors import ReviewError
from biopsy_ai.review.patch import Patch, patch_from_json, patch_to_json
from biopsy_ai.review.vocabulary import check_condition, check_reason, check_type

OPERATIONS = (
    "accept",
    "delete",
    "merge",
    "split",
    "redraw",
    "draw",
    "exclude",
    "include",
    "set_type",
    "set_condition",
)
"""What a person does with fibers; an entry may also be an ``undo`` or a ``redo`` of one."""

FIELDS = ("type", "condition", "exclusion", "accepted")
"""What a person decides about a fiber, besides its outline."""

Fields = dict[int, dict[str, tuple[Any, Any]]]
"""By label and field: what was there before, and what was decided."""


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    seq
        Its number, from 1.
    utc, user
        When, in ISO 8601, and who.
    operation
        One of `OPERATIONS`, ``undo`` or ``redo``.
    labels
        Fibers that it was about, new ones included.
    text
        What was done, in words.
    patches
        Pixels that changed.
    fields
        What was decided about fibers, with what the table had before: a type, a condition, why a
        fiber is left out (empty: taken in again), or true for accepted.
    outlined
        Fibers whose outline changed, new ones included.
    removed
        Fibers that are gone.
    parents
        The fiber that each new one was a part of, 0 where there was none.
    undoes, redoes
        Number of the entry that an undo takes back, or a redo makes again; else 0.
    """

    seq: int
    utc: str
    user: str
    operation: str
    labels: tuple[int, ...]
    text: str
    patches: tuple[Patch, ...] = ()
    fields: Fields = field(default_factory=dict)
    outlined: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    parents: dict[int, int] = field(default_factory=dict)
    undoes: int = 0
    redoes: int = 0

    def to_line(self) -> bytes:
        """The entry as a line of the log."""
        value: dict[str, Any] = {
            "seq": self.seq,
            "utc": self.utc,
            "user": self.user,
            "operation": self.operation,
            "labels": list(self.labels),
            "text": self.text,
        }
        parts: dict[str, Any] = {
            "patches": [patch_to_json(patch) for patch in self.patches],
            "fields": {
                str(label): {name: list(pair) for name, pair in columns.items()}
                for label, columns in self.fields.items()
            },
            "outlined": list(self.outlined),
            "removed": list(self.removed),
            "parents": {str(label): parent for label, parent in self.parents.items()},
            "undoes": self.undoes,
            "redoes": self.redoes,
        }
        value |= {name: part for name, part in parts.items() if part}
        return json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def read_entry(value: Any) -> Entry:
    """Read an entry from what JSON makes of its line.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if not isinstance(value, dict):
        raise ValueError("a line of the log is a mapping")
    patches = value.get("patches", [])
    if not isinstance(patches, list):
        raise ValueError("patches are a list")
    entry = Entry(
        seq=_whole(value.get("seq")),
        utc=_text(value.get("utc")),
        user=_text(value.get("user")),
        operation=_text(value.get("operation")),
        labels=_labels(value.get("labels")),
        text=_text(value.get("text")),
        patches=tuple(patch_from_json(patch) for patch in patches),
        fields=_fields(value.get("fields", {})),
        outlined=_labels(value.get("outlined", [])),
        removed=_labels(value.get("removed", [])),
        parents={_key(label): _whole(parent) for label, parent in _items(value.get("parents", {}))},
        undoes=_whole(value.get("undoes", 0)),
        redoes=_whole(value.get("redoes", 0)),
    )
    known = {"undo": entry.undoes > 0, "redo": entry.redoes > 0}
    if not known.get(entry.operation, entry.operation in OPERATIONS):
        raise ValueError(f"the operation {entry.operation!r} is not known")
    return entry


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _key(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is no label")
    return _whole(int(text))


def _labels(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError("labels are a list")
    return tuple(_whole(label) for label in value)


def _items(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no mapping")
    return value.items()


def _fields(value: Any) -> Fields:
    return {
        _key(label): {name: _pair(name, pair) for name, pair in _items(columns)}
        for label, columns in _items(value)
    }


def _pair(name: str, pair: Any) -> tuple[Any, Any]:
    if name not in FIELDS or not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f"the field {name!r} is not known, or has no value before and after")
    before, after = pair
    if name == "accepted":
        if after is not True:
            raise ValueError(f"the field accepted has the value {after!r}")
        return bool(before), True
    try:
        _CHECKS[name](_text(after))
    except ReviewError as error:
        raise ValueError(str(error)) from None
    return _text(before), after


_CHECKS: dict[str, Callable[[str], object]] = {
    "type": check_type,
    "condition": check_condition,
    # nothing against a fiber takes it in again
    "exclusion": lambda reason: reason and check_reason(reason),
}
