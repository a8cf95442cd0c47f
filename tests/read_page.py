"""A page as a browser would take it apart, and what holds for all pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

LOADING = {"src", "srcset", "data", "poster", "action", "background"}
"""Attributes that make a browser fetch something."""


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_stands_alone(page: Page) -> None:
    """Nothing is fetched, and no link leads to another host."""
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            text = value or ""
            if name in LOADING:
                assert text.startswith("data:image/"), (tag, name, text)
            if name == "href":
                assert "//" not in text, (tag, name, text)
                assert not text.lower().startswith("javascript:")
            assert not name.startswith("on"), (tag, name)
    style = page.source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def assert_accessible(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert all(image.get("alt") for image in page.all("img"))
    assert all(picture.get("aria-label") for picture in page.all("svg"))
    assert {head.get("scope") for head in page.all("th")} <= {"col", "row"}
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
