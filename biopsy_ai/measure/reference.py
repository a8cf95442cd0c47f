"""Limits and defaults of the measurements, each with its source and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
        the number, default: a setting, user: set in the configuration.
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


def all_references() -> dict[str, Reference]:
    """Every entry of ``reference.yaml``, for reports and documentation."""
    return dict(_load())


@dataclass(frozen=True)
class Limits:
    """The numbers of ``reference.yaml``, some of them replaced by the user's.

    Attributes
    ----------
    changed : mapping of str to float
        What the user sets in place of the defaults (`MeasurementConfig.limits`).
    """

    changed: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """Give the bare number."""
        return self.changed[name] if name in self.changed else _load()[name].value

    def reference(self, name: str) -> Reference:
        """Give the number with its source and mark."""
        default = _load()[name]
        if name not in self.changed:
            return default
        source = f"set in the configuration; the default is {default.value:g} ({default.source})"
        return Reference(self.changed[name], source, "user")


DEFAULTS = Limits()
"""The numbers of ``reference.yaml`` as they are."""


def check_limits(changed: Mapping[str, float]) -> None:
    """Refuse limits that nobody knows and values that nothing can be measured with.

    Raises
    ------
    ValueError
        If a name does not stand in ``reference.yaml``, if a value is not finite or not on the side
        of zero of the default, or if a lower limit of normal does not lie below the upper.
    """
    known = _load()
    unknown = sorted(set(changed) - set(known))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    for name, number in changed.items():
        if not math.isfinite(number):
            raise ValueError(f"{name} is {number}; it must be a finite number")
        if known[name].value > 0 and number <= 0:
            raise ValueError(f"{name} is {number}; it must be positive")
        if known[name].value < 0 and number > 0:
            raise ValueError(f"{name} is {number}; it must not be positive")
    limits = Limits(changed)
    for sex in ("male", "female"):
        low, high = limits[f"{sex}_low_um"], limits[f"{sex}_high_um"]
        if low >= high:
            raise ValueError(f"{sex}_low_um, {low}, must be below {sex}_high_um, {high}")
