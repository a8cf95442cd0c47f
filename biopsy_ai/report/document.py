"""What a report says, before it is set as a page: the same for HTML and for PDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["plain", "muted", "strong"]
"""How a row of a table is set."""


@dataclass(frozen=True)
class Image:
    """A picture as it is embedded.

    Attributes
    ----------
    content
        Of a JPEG or PNG file.
    width_px, height_px
        Its size.
    kind
        Of the file.
    """

    content: bytes = field(repr=False)
    width_px: int
    height_px: int
    kind: Literal["jpeg", "png"] = "jpeg"


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text
        What it says.
    tone
        How it is set: a note is smaller than plain text, a lead larger.
    """

    text: str
    tone: Literal["plain", "note", "lead"] = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list, one entry each."""

    entries: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names with what they are, such as the muscle of a section."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text
        What it says first.
    detail
        What stands below, smaller.
    link
        Relative address that the text leads to, where a page can follow it; it may be empty.
    """

    text: str
    detail: str = ""
    link: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    cells
        As many as the table has columns; the first one names the row.
    tone
        How it is set: muted where it does not count, strong for sums.
    """

    cells: tuple[Cell, ...]
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title
        Its header.
    width
        Share of the width of the table, relative to the others.
    numeric
        Whether its cells are numbers, which end at the right.
    """

    title: str
    width: float = 1.0
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows.

    Attributes
    ----------
    image
        The picture.
    caption
        What stands below it.
    alt
        What it shows, for those who do not see it.
    width
        Share of the width of the page.
    """

    image: Image
    caption: str
    alt: str
    width: float = 1.0


@dataclass(frozen=True)
class Bar:
    """A score from 0 to 100 with its interval.

    Attributes
    ----------
    title
        Name of the score.
    value, low, high
        None where there is none.
    text
        The same in words.
    ends
        What 0 and 100 stand for.
    """

    title: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    ends: tuple[str, str] = ("0", "100")


Block = Text | Bullets | Facts | Table | Figure | Bar


@dataclass(frozen=True)
class Part:
    """A part of a report under its heading.

    Attributes
    ----------
    title
        The heading.
    blocks
        What stands below it, in order.
    parts
        Parts of this part.
    """

    title: str
    blocks: tuple[Block, ...]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes
    ----------
    title
        Of the report, such as the name of the section.
    subtitle
        What kind of report it is.
    notice
        What stands on every page.
    made_by
        Program and version.
    date
        When the results were made, as they say; it may be empty.
    parts
        In order.
    """

    title: str
    subtitle: str
    notice: str
    made_by: str
    date: str
    parts: tuple[Part, ...]
