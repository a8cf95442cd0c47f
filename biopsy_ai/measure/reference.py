"""Limits and defaults of the measurements, each with its source and how far to trust it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True)
class Reference:
    """A number used in a rule or a call.

    Attributes
    ----------
    value : float
    source : str
        Where it comes from.
    mark : str
        P primary source read, P-ocr primary source read through poor OCR, S secondary source,
        M from memory and unverified, D derived, E engineering proposal without literature behind
        the number, default: a setting.
    """

    value: float
    source: str
    mark: str

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as a JSON-ready dict."""
        return asdict(self)


@lru_cache(maxsize=1)
def _load() -> dict[str, Reference]:
    text = files("biopsy_ai.measure").joinpath("reference.yaml").read_text(encoding="utf-8")
    return {
        name: Reference(float(entry["value"]), str(entry["source"]), str(entry["mark"]))
        for name, entry in yaml.safe_load(text).items()
    }


def reference(name: str) -> Reference:
    """Look up a number of ``reference.yaml`` with its source and mark.

    Raises
    ------
    KeyError
        If there is no such entry.
    """
    return _load()[name]


def value(name: str) -> float:
    """Look up the bare number of an entry of ``reference.yaml``."""
    return _load()[name].value


def all_references() -> dict[str, Reference]:
    """Every entry of ``reference.yaml``, for reports and documentation."""
    return dict(_load())
