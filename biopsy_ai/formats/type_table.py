"""Fiber types that a person gives: a table with the label and the type of each fiber."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai.errors import TypesReadError

if TYPE_CHECKING:
    import pandas as pd

WORDS = {
    "I": ("i", "1", "slow", "st"),
    "II": ("ii", "2", "fast", "ft"),
    "IIA": ("iia", "2a"),
    "IIX": ("iix", "2x", "iib", "2b", "iid", "2d", "iidx", "2dx"),
    "I/IIA": ("iiia", "12a", "iic", "2c", "ic", "1c"),
    "I/IIX": ("iiix", "12x", "iiib", "12b"),
    "IIA/IIX": ("iiaiix", "iiax", "2a2x", "2ax", "iixiia", "2x2a")
    + ("iiaiib", "iiab", "2a2b", "2ab", "iibiia", "2b2a"),
    "undetermined": ("undetermined", "unknown", "unclear", "?", "u"),
    "": ("", "na", "nan", "none"),
}
"""Words that are read for each type, in small letters and without "type", spaces and signs. What
older papers call 2B in human muscle is IIX."""

_KIND = {word: kind for kind, words in WORDS.items() for word in words}
_LABELS = ("label", "fiber", "fibre", "id")
_TYPES = ("type", "fiber_type", "fibre_type")


def read_type_word(text: str) -> str | None:
    """Turn what a person writes for a type into the word of biopsy-ai; None if nobody knows it.

    Examples
    --------
    >>> [read_type_word(text) for text in ("Type 2a", "slow", "1/2A", "2b", "red")]
    ['IIA', 'I', 'I/IIA', 'IIX', None]
    """
    word = text.strip().lower()
    for noise in ("fibers", "fibres", "fiber", "fibre", "type", "myhc", "mhc"):
        word = word.replace(noise, "")
    for sign in " \t._-/+":
        word = word.replace(sign, "")
    return _KIND.get(word)


def read_type_table(path: str | Path) -> pd.DataFrame:
    """Read a table of fiber types.

    Parameters
    ----------
    path
        CSV with a header line and the columns ``label`` and ``type``, parted by comma, semicolon
        or tab; further columns are left alone.

    Returns
    -------
    DataFrame
        ``label`` (int) and ``type`` (a word of `WORDS`), in the order of the file, whose name
        stands in ``attrs["file"]``.

    Raises
    ------
    TypesReadError
        If the file cannot be read or names no fiber, a column is missing, a label is no whole
        number or stands there twice, or a type is not understood; the message says in which line.
    """
    import pandas as pd

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TypesReadError(f"{path}: the table of types cannot be read ({error})") from error
    lines = text.splitlines()
    if not lines:
        raise TypesReadError(f"{path}: the table of types is empty")
    delimiter = max(",;\t", key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=delimiter))
    header = [name.strip().lower() for name in rows[0]]
    at = [_find(header, names) for names in (_LABELS, _TYPES)]
    if None in at:
        raise TypesReadError(
            f"{path}: a table of types needs the columns label and type; it has "
            f"{', '.join(rows[0])}"
        )
    label_at, type_at = (int(place) for place in at if place is not None)
    found: dict[int, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(label_at, type_at):
            raise TypesReadError(f"{path}, line {number}: the label or the type is missing")
        label = _label(path, number, row[label_at])
        kind = read_type_word(row[type_at])
        if kind is None:
            raise TypesReadError(
                f"{path}, line {number}: {row[type_at].strip()!r} is no fiber type; write I, II, "
                "IIA, IIX, I/IIA, I/IIX, IIA/IIX or undetermined"
            )
        if label in found:
            raise TypesReadError(f"{path}, line {number}: fiber {label} stands there twice")
        found[label] = kind
    if not found:
        raise TypesReadError(f"{path}: the table of types names no fiber")
    frame = pd.DataFrame({"label": list(found), "type": list(found.values())})
    frame.attrs["file"] = str(path)
    return frame.astype({"label": "int64", "type": object})


def _find(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _label(path: str | Path, number: int, text: str) -> int:
    try:
        value = float(text)
        label = int(value)
    except (ValueError, OverflowError):
        label, value = 0, -1.0
    if label != value or label < 1:
        raise TypesReadError(
            f"{path}, line {number}: {text.strip()!r} is no label; labels are whole numbers from 1"
        )
    return label
