"""The sample sheet: a table that names slides, and says of each what no file does."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biopsy_ai.config import AnalysisConfig, make_config, read_channels, read_stain
from biopsy_ai.errors import ConfigError

SUFFIX = ".csv"

COLUMNS = (
    "path",
    "patient",
    "block",
    "stain",
    "mpp",
    "muscle",
    "side",
    "age",
    "sex",
    "channels",
)
"""Columns that a sample sheet may have, of which only ``path`` is needed."""

_SEX_WORDS = {"m": "male", "man": "male", "f": "female", "w": "female", "woman": "female"}
_SIDE_WORDS = {"l": "left", "r": "right"}
_SHOWN = 20


@dataclass(frozen=True)
class SampleRow:
    """One slide of a sample sheet.

    Attributes
    ----------
    line
        Line of the file; the header is line 1.
    path
        The slide; a relative path starts from the folder of the sheet.
    patient, block
        Names; empty where the sheet gives none. Sections of one patient and block are serial.
    settings
        What the row says in place of the settings of the run, by name of `AnalysisConfig`.
    notes
        All cells of the row but the path, by column; of unknown columns too.
    """

    line: int
    path: Path
    patient: str = ""
    block: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def config(self, base: AnalysisConfig) -> AnalysisConfig:
        """Settings for this slide: those of the run, with what the row says instead."""
        return make_config(**{**base.model_dump(exclude_unset=True), **self.settings})


@dataclass(frozen=True)
class SampleSheet:
    """A sample sheet.

    Attributes
    ----------
    path
        The file.
    rows
        One per slide, in the order of the file.
    unknown
        Columns that are none of `COLUMNS`. Their cells are kept in ``notes``.
    """

    path: Path
    rows: tuple[SampleRow, ...]
    unknown: tuple[str, ...] = ()

    def blocks(self) -> dict[tuple[str, str], list[SampleRow]]:
        """Rows of two and more sections of one block, by patient and block."""
        found: dict[tuple[str, str], list[SampleRow]] = {}
        for row in self.rows:
            if row.block:
                found.setdefault((row.patient, row.block), []).append(row)
        return {name: rows for name, rows in found.items() if len(rows) > 1}


def read_sample_sheet(path: str | Path) -> SampleSheet:
    """Read a sample sheet, as spreadsheets write it.

    Comma, semicolon and tab part the cells, numbers may have a decimal comma, and empty lines are
    left out. Whether the slides are there is not looked at.

    Parameters
    ----------
    path
        CSV file with a header line.

    Returns
    -------
    SampleSheet

    Raises
    ------
    ConfigError
        If the file cannot be read or is no sample sheet, or cells cannot be used; the message
        names line and column of each and says what may stand there.
    """
    path = Path(path)
    header, lines = _read_cells(path)
    problems: list[str] = []
    rows: list[SampleRow] = []
    for number, cells in lines:
        if len(cells) > len(header) and any(cells[len(header) :]):
            problems.append(
                f"line {number} has {len(cells)} cells for {len(header)} columns: put a cell that "
                'holds the separator in quotes, such as "border=3,nuclei=0"'
            )
            continue
        given = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
        row = _read_row(path, number, given, problems)
        if row is not None:
            rows.append(row)
    problems += _contradictions(rows)
    if not problems and not rows:
        problems.append("it names no slide: write one line for each below the header")
    if problems:
        more = len(problems) - _SHOWN
        shown = problems[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise ConfigError(f"{path}: the sample sheet cannot be used: " + "; ".join(shown))
    return SampleSheet(path, tuple(rows), tuple(name for name in header if name not in COLUMNS))


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header in small letters, and the lines that are not empty with their numbers."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: the sample sheet cannot be read ({error.strerror or error})"
        ) from error
    text = _decode(data)
    if "\0" in text:
        raise ConfigError(f"{path}: is no table of text; save the sheet as CSV (UTF-8)")
    content = text.splitlines()
    named = None
    if content and (match := re.fullmatch(r'"?sep=(.)"?', content[0].strip(), re.IGNORECASE)):
        # spreadsheets hide such a line, so that line 2 of the file is line 1 to the user
        named, content = match.group(1), content[1:]
    head = next((line for line in content if line.strip(' ,;\t"')), "")
    delimiter = named or max(",;\t", key=head.count)
    table = csv.reader(content, delimiter=delimiter)
    kept: list[tuple[int, list[str]]] = []
    try:
        for cells in table:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                kept.append((table.line_num, stripped))
    except csv.Error as error:
        raise ConfigError(
            f"{path}: line {table.line_num} cannot be taken apart ({error})"
        ) from error
    header = [name.lower() for name in kept[0][1]] if kept else []
    while header and not header[-1]:
        header.pop()
    if "path" not in header:
        raise ConfigError(
            f"{path}: a sample sheet needs the column path in its first line, with a slide in each "
            f"line below; columns found: {', '.join(header) or 'none'}. Further columns: "
            f"{', '.join(COLUMNS[1:])}."
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: the column {twice[0]} stands there twice; rename one of them")
    return [name or f"column {i}" for i, name in enumerate(header, start=1)], kept[1:]


def _decode(data: bytes) -> str:
    """Text as spreadsheets save it: UTF-8 or UTF-16 with a mark, else what Windows uses."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _read_row(
    sheet: Path, line: int, given: dict[str, str], problems: list[str]
) -> SampleRow | None:
    if "path" not in given:
        problems.append(f"line {line}, column path: is empty; name the slide")
        return None
    settings: dict[str, Any] = {}
    for column, read in _READERS.items():
        if column in given:
            try:
                settings[column] = read(given[column])
                make_config(**{column: settings[column]})
            except (ValueError, ConfigError) as error:
                # the settings name the column again
                reason = str(error).removeprefix(f"{column}: ").removeprefix("Value error, ")
                problems.append(f"line {line}, column {column}: {reason}")
    return SampleRow(
        line=line,
        path=_place(sheet.parent, given["path"]),
        patient=given.get("patient", ""),
        block=given.get("block", ""),
        settings=settings,
        notes={name: cell for name, cell in given.items() if name != "path"},
    )


def _place(folder: Path, text: str) -> Path:
    path = folder / text
    if "\\" in text and not path.exists():
        # a sheet that was written on Windows
        path = folder / text.replace("\\", "/")
    return path


def _contradictions(rows: list[SampleRow]) -> list[str]:
    """Slides named twice, and sections of one block that are not of one biopsy."""
    problems = []
    first: dict[Path, int] = {}
    for row in rows:
        before = first.setdefault(row.path.resolve(), row.line)
        if before != row.line:
            problems.append(
                f"line {row.line}, column path: the slide stands in line {before} already; name "
                "each slide once"
            )
    said: dict[tuple[str, ...], tuple[int, Any]] = {}
    for row in rows:
        for column in ("muscle", "side", "age", "sex"):
            if not row.block or column not in row.settings:
                continue
            value = row.settings[column]
            line, before = said.setdefault((row.patient, row.block, column), (row.line, value))
            if before != value:
                problems.append(
                    f"line {row.line}, column {column}: {value} contradicts {before} in line "
                    f"{line} of the same block; give blocks of different biopsies different names"
                )
    return problems


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise ValueError(f"{text!r} is no number, such as 0.5") from None


def _mpp(text: str) -> float | tuple[float, float]:
    """One number, or y and x; a comma parts these only where both have a decimal point."""
    example = f"{text!r} is no pixel size in µm, such as 0.5, or 0.5 x 0.5 (y x)"
    parts = [part for part in re.split(r"[;x×\s]+", text.lower().replace("µm", "")) if part]
    if len(parts) == 1 and re.fullmatch(r"\d*\.\d+,\d*\.\d+", parts[0]):
        parts = parts[0].split(",")
    try:
        values = [_number(part) for part in parts]
    except ValueError:
        raise ValueError(example) from None
    if len(values) not in (1, 2) or not all(0 < value < 1000 for value in values):
        raise ValueError(example)
    return values[0] if len(values) == 1 else (values[0], values[1])


def _one_of(words: Mapping[str, str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        word = words.get(text.lower(), text.lower())
        if word not in words.values():
            known = " or ".join(dict.fromkeys(words.values()))
            raise ValueError(f"{text!r} is not understood; write {known}, or leave it empty")
        return word

    return read


def _age(text: str) -> float:
    age = _number(text)
    if not 0 <= age <= 130:
        raise ValueError(f"{text!r} is no age in years")
    return age


_READERS: dict[str, Callable[[str], Any]] = {
    "stain": read_stain,
    "mpp": _mpp,
    "muscle": str,
    "side": _one_of(_SIDE_WORDS),
    "age": _age,
    "sex": _one_of(_SEX_WORDS),
    "channels": lambda text: read_channels(text.replace(";", ",")),
}
