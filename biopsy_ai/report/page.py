"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.formats.files import replacing
from biopsy_ai.formats.tables import printable
from biopsy_ai.report.document import Document, Image

if TYPE_CHECKING:
    import jinja2

REPORT_TEMPLATE = "report.html.jinja"


def write_page(path: str | Path, document: Document) -> None:
    """Write a report as HTML, with its pictures inside.

    Parameters
    ----------
    path
        File to write or replace.
    document
        What the report says. All its text is escaped.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_template(path, REPORT_TEMPLATE, document=document)


def write_template(path: str | Path, name: str, **content: Any) -> None:
    """Fill one of the templates and write it; all text in `content` is escaped.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = printable(_environment().get_template(name).render(content))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def data_uri(image: Image) -> str:
    """A picture as an address that holds it."""
    return f"data:image/{image.kind};base64,{base64.b64encode(image.content).decode('ascii')}"


def anchor(title: str) -> str:
    """Name of a part of a page that a link can point to."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"


def css_string(text: str) -> str:
    """Write a text as a string of CSS that nothing in it can end."""
    plain = (part if part.isascii() and part.isalnum() else f"\\{ord(part):06x}" for part in text)
    return f'"{"".join(plain)}"'


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("biopsy_ai.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["anchor"] = anchor
    environment.filters["css_string"] = lambda text: markupsafe.Markup(css_string(text))
    environment.filters["kind_of"] = lambda block: type(block).__name__
    return environment
