"""Limits and defaults of the measurements, each with its source and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.yaml_text import load_yaml


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
        the number, default: a setting, user: set in the configuration, learned: refitted to what
        people corrected.
    """

    value: float
    source: str
    mark: str

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class StainVector:
    """Color of a dye.

    Attributes
    ----------
    vector : (3,) tuple of float
        Optical density in red, green and blue, of unit length.
    source, mark : str
        As in `Reference`.
    """

    vector: tuple[float, float, float]
    source: str
    mark: str


@lru_cache(maxsize=1)
def _read() -> dict[str, dict[str, Any]]:
    text = files("biopsy_ai.measure").joinpath("reference.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = load_yaml(text)
    return entries


@lru_cache(maxsize=1)
def _load() -> dict[str, Reference]:
    return {
        name: Reference(float(entry["value"]), str(entry["source"]), str(entry["mark"]))
        for name, entry in _read().items()
        if "value" in entry
    }


@lru_cache(maxsize=1)
def _load_vectors() -> dict[str, StainVector]:
    vectors = {}
    for name, entry in _read().items():
        if "vector" in entry:
            vector = np.asarray(entry["vector"], dtype=float)
            red, green, blue = (float(x) for x in vector / np.linalg.norm(vector))
            vectors[name] = StainVector(
                (red, green, blue), str(entry["source"]), str(entry["mark"])
            )
    return vectors


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


def stain_vector(name: str) -> NDArray[np.float64]:
    """Look up the color of a dye: (3,) optical density in red, green and blue, of unit length.

    Raises
    ------
    KeyError
        If there is no such entry.
    """
    return np.array(_load_vectors()[name].vector)


def all_stain_vectors() -> dict[str, StainVector]:
    """Every color of a dye in ``reference.yaml``, for reports and documentation."""
    return dict(_load_vectors())


@dataclass(frozen=True)
class Limits:
    """The numbers of ``reference.yaml``, some of them replaced by the user's or the model's.

    Attributes
    ----------
    changed : mapping of str to float
        What the user sets in place of all others (`MeasurementConfig.limits`).
    learned : mapping of str to float
        What the model has learned from corrections in place of the defaults (`RulesConfig`).
    learned_from : str
        What it was, in words.
    """

    changed: Mapping[str, float] = field(default_factory=dict)
    learned: Mapping[str, float] = field(default_factory=dict)
    learned_from: str = ""

    def __getitem__(self, name: str) -> float:
        """Give the bare number."""
        for numbers in (self.changed, self.learned):
            if name in numbers:
                return numbers[name]
        return _load()[name].value

    def reference(self, name: str) -> Reference:
        """Give the number with its source and mark."""
        default = _load()[name]
        before = f"the default is {default.value:g} ({default.source})"
        if name in self.changed:
            return Reference(self.changed[name], f"set in the configuration; {before}", "user")
        if name in self.learned:
            return Reference(self.learned[name], f"{self.learned_from}; {before}", "learned")
        return default


DEFAULTS = Limits()
"""The numbers of ``reference.yaml`` as they are."""


def check_limits(changed: Mapping[str, float]) -> None:
    """Refuse limits that nobody knows and values that nothing can be measured with.

    Raises
    ------
    ValueError
        If a name is that of no number of ``reference.yaml`` (the color of a dye is not one), if a
        value is not finite or not on the side of zero of the default, or if a lower limit of
        normal does not lie below the upper.
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
