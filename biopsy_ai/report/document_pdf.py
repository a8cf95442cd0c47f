"""A report as PDF, A4."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from biopsy_ai.formats.files import replacing
from biopsy_ai.report.document import (
    Bar,
    Block,
    Bullets,
    Cell,
    Document,
    Facts,
    Figure,
    Part,
    Table,
    Text,
)

MARGIN_MM = 14.0
FOOTER_MM = 9.0
FONT, BOLD, ITALIC = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"
"""Fonts that come with matplotlib: they hold Latin, Greek and Cyrillic, and µ, ≥ and −."""

ACCENT, SOFT, LINE, TINT = "#0b4f7d", "#4d4d4d", "#c9ced6", "#f3f5f8"
BAND, TRACK = "#8fc1e0", "#eceff3"

_HIGHEST_FIGURE = 0.82
"""Of the height of a page."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_pdf(path: str | Path, document: Document) -> None:
    """Write a report as PDF: the same document gives the same bytes.

    Parameters
    ----------
    path
        File to write or replace.
    document
        What the report says. Letters that the font lacks show as boxes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    content = _render(document)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _render(document: Document) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    _prepare()
    file = io.BytesIO()
    pages = BaseDocTemplate(
        file,
        pagesize=A4,
        title=_clean(f"{document.title} – {document.subtitle}"),
        author=_clean(document.made_by),
        subject=_clean(document.notice),
        lang="en",
        invariant=1,
    )
    width, height = A4[0] - 2 * MARGIN_MM * mm, A4[1] - 2 * (MARGIN_MM + 2) * mm
    frame = Frame(MARGIN_MM * mm, (MARGIN_MM + 2) * mm, width, height, 0, 0, 0, 0, id="page")

    def footer(canvas: Any, _: Any) -> None:
        canvas.saveState()
        canvas.setFont(FONT, 7)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN_MM * mm, FOOTER_MM * mm, _clean(document.notice))
        canvas.drawRightString(
            A4[0] - MARGIN_MM * mm,
            FOOTER_MM * mm,
            _clean(f"{document.title[:60]}   {canvas.getPageNumber()}"),
        )
        canvas.restoreState()

    pages.addPageTemplates([PageTemplate("page", [frame], onPage=footer)])
    pages.build(_Setter(width, height).document(document))
    return file.getvalue()


@lru_cache(maxsize=1)
def _prepare() -> None:
    """Register the fonts, and have pictures stand in the file as they are."""
    import matplotlib
    from reportlab import rl_config
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    # what it writes else, for mail of the last century, takes longer than all the rest
    rl_config.useA85 = 0
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (FONT, BOLD, ITALIC):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


def _clean(text: str) -> str:
    """Text without what no XML may hold."""
    return _CONTROL.sub("\ufffd", text)


def _marked_up(text: str) -> str:
    """Text as a paragraph takes it, with nothing in it read as markup."""
    return escape(_clean(text))


class _Setter:
    """Turns the blocks of a document into what reportlab sets on pages."""

    def __init__(self, width: float, height: float) -> None:
        from reportlab.lib.styles import ParagraphStyle

        self.width, self.height = width, height

        def style(name: str, size: float, **more: Any) -> ParagraphStyle:
            settings = {"fontName": FONT, "leading": 1.32 * size, "splitLongWords": 1, **more}
            return ParagraphStyle(name, fontSize=size, **settings)

        accent = {"textColor": ACCENT, "fontName": BOLD, "keepWithNext": 1}
        self.styles = {
            "kind": style("kind", 8, textColor=SOFT),
            "title": style("title", 18, fontName=BOLD, spaceAfter=2),
            "h1": style("h1", 13, spaceBefore=14, spaceAfter=4, **accent),
            "h2": style("h2", 10, spaceBefore=9, spaceAfter=2, fontName=BOLD, keepWithNext=1),
            "plain": style("plain", 8.5, spaceAfter=4),
            "lead": style("lead", 13, fontName=BOLD, spaceAfter=4),
            "note": style("note", 7.5, textColor=SOFT, spaceBefore=2, spaceAfter=4),
            "caption": style("caption", 8.5, fontName=BOLD, spaceBefore=4, keepWithNext=1),
            "bullet": style("bullet", 8.5, leftIndent=10, bulletIndent=2, spaceAfter=2),
            "cell": style("cell", 7.5),
            "number": style("number", 7.5, alignment=2),
            "head": style("head", 7.5, fontName=BOLD),
            "head number": style("head number", 7.5, fontName=BOLD, alignment=2),
            "muted": style("muted", 7.5, fontName=ITALIC, textColor="#5c5c5c"),
            "strong": style("strong", 7.5, fontName=BOLD),
            "strong number": style("strong number", 7.5, fontName=BOLD, alignment=2),
            "muted number": style("muted number", 7.5, textColor="#5c5c5c", alignment=2),
        }

    def document(self, document: Document) -> list[Any]:
        made = ", ".join(part for part in (document.made_by, document.date) if part)
        flow = [
            self._text(document.notice, "strong"),
            self._text(document.subtitle, "kind"),
            self._text(document.title, "title"),
            self._text(made, "kind"),
        ]
        for part in document.parts:
            flow += self._part(part, "h1")
        return flow

    def _part(self, part: Part, heading: str) -> list[Any]:
        flow = [self._text(part.title, heading)]
        for i, block in enumerate(part.blocks):
            set_block = self._block(block)
            if isinstance(block, Text) and isinstance(_at(part.blocks, i + 1), Table | Figure):
                set_block[0].keepWithNext = 1
            flow += set_block
        for inner in part.parts:
            flow += self._part(inner, "h2")
        return flow

    def _text(self, text: str, style: str) -> Any:
        from reportlab.platypus import Paragraph

        return Paragraph(_marked_up(text), self.styles[style])

    def _block(self, block: Block) -> list[Any]:
        from reportlab.platypus import Paragraph

        if isinstance(block, Text):
            return [self._text(block.text, block.tone)]
        if isinstance(block, Bullets):
            style = self.styles["bullet"]
            return [Paragraph(_marked_up(text), style, bulletText="•") for text in block.entries]
        if isinstance(block, Facts):
            return [self._facts(block)]
        if isinstance(block, Bar):
            return self._bar(block)
        if isinstance(block, Figure):
            return self._figure(block)
        return self._table(block)

    def _facts(self, facts: Facts) -> Any:
        from reportlab.platypus import Table as Grid

        rows = [[self._text(name, "note"), self._text(text, "cell")] for name, text in facts.pairs]
        style = [("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(1.2)]
        return Grid(rows, [0.24 * self.width, 0.76 * self.width], style=style, hAlign="LEFT")

    def _bar(self, bar: Bar) -> list[Any]:
        from reportlab.graphics.shapes import Drawing, Line, Rect, String
        from reportlab.platypus import KeepTogether, Spacer

        title = self._text(f"{bar.title}: {bar.text}", "plain")
        if bar.value is None:
            return [title]
        width = 0.75 * self.width
        drawing = Drawing(width, 30)
        step = width / 100
        drawing.add(Rect(0, 13, width, 9, fillColor=_color(TRACK), strokeColor=_color("#8a929c")))
        if bar.low is not None and bar.high is not None:
            span = step * (bar.high - bar.low)
            drawing.add(Rect(step * bar.low, 13, span, 9, fillColor=_color(BAND), strokeColor=None))
            for end in (bar.low, bar.high):
                at = step * end
                drawing.add(Line(at, 11, at, 24, strokeColor=_color(ACCENT), strokeWidth=1.5))
        at = min(max(step * bar.value, 1.5), width - 1.5)
        drawing.add(Line(at, 9, at, 26, strokeColor=_color("#1a1a1a"), strokeWidth=3))
        small = {"fontName": FONT, "fontSize": 7, "fillColor": _color(SOFT)}
        drawing.add(String(0, 2, bar.ends[0], **small))
        drawing.add(String(width, 2, bar.ends[1], textAnchor="end", **small))
        return [KeepTogether([title, drawing, Spacer(1, 6)])]

    def _figure(self, figure: Figure) -> list[Any]:
        from reportlab.platypus import Image as Picture

        image = figure.image
        width = figure.width * self.width
        height = width * image.height_px / max(image.width_px, 1)
        if height > _HIGHEST_FIGURE * self.height:
            width, height = (
                side * _HIGHEST_FIGURE * self.height / height for side in (width, height)
            )
        picture = Picture(io.BytesIO(image.content), width, height, hAlign="LEFT")
        picture.keepWithNext = 1
        return [picture, self._text(figure.caption, "note")]

    def _table(self, table: Table) -> list[Any]:
        from reportlab.platypus import Table as Grid

        whole = sum(column.width for column in table.columns)
        widths = [self.width * column.width / whole for column in table.columns]
        numeric = [column.numeric for column in table.columns]
        head = [
            self._text(column.title, "head number" if column.numeric else "head")
            for column in table.columns
        ]
        rows = [head]
        style: list[Any] = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, 0), TINT),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
            *_padding(2.2),
        ]
        for i, row in enumerate(table.rows, 1):
            rows.append(
                [
                    self._cell(cell, row.tone, number)
                    for cell, number in zip(row.cells, numeric, strict=True)
                ]
            )
            if row.tone == "strong":
                style.append(("LINEABOVE", (0, i), (-1, i), 0.9, "#1a1a1a"))
                style.append(("LINEBELOW", (0, i), (-1, i), 0.9, "#1a1a1a"))
        grid = Grid(rows, widths, style=style, repeatRows=1, spaceBefore=3, spaceAfter=6)
        return [self._text(table.caption, "caption"), grid]

    def _cell(self, cell: Cell, tone: str, numeric: bool) -> Sequence[Any]:
        style = ("cell" if tone == "plain" else tone) if not numeric else "number"
        if numeric and tone != "plain":
            style = f"{tone} number"
        lines = [self._text(cell.text, style)]
        if cell.detail:
            lines.append(self._text(cell.detail, "note"))
        return lines


def _at(blocks: Sequence[Block], i: int) -> Block | None:
    return blocks[i] if i < len(blocks) else None


def _padding(points: float) -> list[Any]:
    vertical = [(side, (0, 0), (-1, -1), points) for side in ("TOPPADDING", "BOTTOMPADDING")]
    return [*vertical, ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3)]


def _color(code: str) -> Any:
    from reportlab.lib.colors import HexColor

    return HexColor(code)
