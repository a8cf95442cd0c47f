"""Tables as CSV and summaries as JSON, in forms that every reader of these formats takes."""

from __future__ import annotations

import csv
import datetime
import enum
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biopsy_ai.formats.files import replacing

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT_DIGITS = 6
"""Digits of a measured value in a table: finer than any microscope measures. [default]"""


def write_csv(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as UTF-8 CSV: one header line, comma, decimal point, no index.

    Real numbers get 6 significant digits, truth values are ``true`` and ``false``, missing
    values are empty.

    Parameters
    ----------
    path
        File to write or replace.
    frame
        Table. Its index is left out.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    columns = [_cells(frame.iloc[:, i]) for i in range(frame.shape[1])]
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([printable(str(name)) for name in frame.columns])
        if columns:
            writer.writerows(zip(*columns, strict=True))


def write_fibers_csv(path: str | Path, fibers: pd.DataFrame) -> None:
    """Write the table of fibers as CSV, ``label`` first.

    Parameters
    ----------
    path
        File to write or replace.
    fibers
        One row per fiber, with a column ``label``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    others = [name for name in fibers.columns if name != "label"]
    write_csv(path, fibers[["label", *others]])


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented UTF-8 JSON that strict readers accept.

    Parameters
    ----------
    path
        File to write or replace.
    value
        Anything that `to_json_ready` takes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = json.dumps(to_json_ready(value), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def to_json_ready(value: Any) -> Any:
    """Turn numpy values, paths, dates, models and NaN into what JSON can hold.

    NaN and infinite numbers become None. Keys become text, and all text becomes `printable`.

    Raises
    ------
    TypeError
        A value of a type that has no JSON form.
    """
    if isinstance(value, enum.Enum):
        return to_json_ready(value.value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (str, Path)):
        return printable(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (np.generic, np.ndarray)):
        return to_json_ready(value.tolist())
    if isinstance(value, Mapping):
        return {printable(str(key)): to_json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [to_json_ready(item) for item in items]
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return to_json_ready(value.model_dump(mode="json"))
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def printable(text: str) -> str:
    """Text that can be written as UTF-8, such as a file name.

    File names are any bytes on Linux, and may hold half a character on Windows. Python reads what
    is no text in them as lone surrogates, which no file takes. Their numbers are written out, so
    that distinct names stay distinct.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def round_significant(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Round a number to significant digits; NaN and infinity stay as they are."""
    return float(f"{value:.{digits}g}")


def _cells(column: pd.Series) -> list[str]:
    missing = column.isna().to_numpy(dtype=bool)
    values = column.tolist()
    return ["" if gone else _cell(value) for value, gone in zip(values, missing, strict=True)]


def _cell(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        text = f"{value:.{SIGNIFICANT_DIGITS}g}"
        # numbers of a million and more are written out rather than as 1e+06
        return f"{float(text):.0f}" if "e+" in text else text
    return printable(str(value))
