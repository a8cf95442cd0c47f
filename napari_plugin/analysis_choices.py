"""What a user chose for an analysis, checked, and as the command line takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from biopsy_ai.config import MPP_MAX, MPP_MIN
from biopsy_ai.errors import ConfigError

STAIN_WORDS = {
    "auto": "Detect",
    "he": "H&E",
    "trichrome": "Trichrome",
    "sirius_red": "Picrosirius red",
    "atpase": "ATPase, pH not known",
    "atpase:9.4": "ATPase pH 9.4",
    "atpase:4.6": "ATPase pH 4.6",
    "atpase:4.3": "ATPase pH 4.3",
    "nadh": "NADH-TR",
    "sdh": "SDH",
    "cox": "COX",
    "if": "Immunofluorescence",
}
"""Every stain that the command line takes, in words."""

VIEW_WORDS = {"": "Quick", "4": "Careful: four views"}
"""How outlines can be drawn, by the views over which the network averages."""

ROLE_WORDS = {
    "": "not used",
    "border": "fiber border",
    "nuclei": "nuclei",
    "I": "myosin I",
    "IIA": "myosin IIA",
    "IIX": "myosin IIX",
}
"""What a channel of immunofluorescence shows, in words."""


@dataclass(frozen=True)
class Choices:
    """Everything that decides an analysis.

    Attributes
    ----------
    slide, out
        The file, and the folder for its results.
    stain, muscle, side, sex, model, views
        As options of ``biopsy-ai analyze``; empty for those that are not stated.
    mpp
        Pixel size (y, x), µm; None takes that of the file.
    channels
        Number of each channel by what it shows.
    region
        GeoJSON file; None for the whole section.
    age
        Years; None where it is not stated.
    """

    slide: Path
    out: Path
    stain: str = "auto"
    mpp: tuple[float, float] | None = None
    channels: Mapping[str, int] = field(default_factory=dict)
    region: Path | None = None
    muscle: str = ""
    side: str = ""
    age: float | None = None
    sex: str = ""
    model: str = ""
    views: str = ""

    def arguments(self) -> list[str]:
        """Arguments of the command."""
        options = {
            "out": str(self.out),
            "stain": self.stain,
            "mpp": "" if self.mpp is None else ",".join(f"{side:.6g}" for side in self.mpp),
            "channels": ",".join(f"{name}={number}" for name, number in self.channels.items()),
            "region": "" if self.region is None else str(self.region),
            "muscle": self.muscle,
            "side": self.side,
            "age": "" if self.age is None else f"{self.age:g}",
            "sex": self.sex,
            "model": self.model,
            "views": self.views,
        }
        given = [f"--{name}={value}" for name, value in options.items() if value]
        return ["analyze", str(self.slide.absolute()), *given]


def parse_pixel_size(text: str) -> tuple[float, float]:
    """Read a pixel size (y, x) in µm as a user types it: one number, or two for y and x.

    Raises
    ------
    ConfigError
        If it is none.
    """
    try:
        sides = [float(part) for part in text.replace(";", ",").split(",")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise ConfigError(f'"{text}" is no pixel size in µm. Write it like 0.5, with a point.')
    if not all(MPP_MIN <= side <= MPP_MAX for side in sides):
        raise ConfigError(
            f"A pixel of {text} µm is not plausible: between {MPP_MIN:g} and {MPP_MAX:g} µm is."
        )
    return sides[0], sides[-1]


def show_pixel_size(mpp: tuple[float, float] | None) -> str:
    """Write a pixel size as `parse_pixel_size` reads it; empty where it is not known."""
    if mpp is None:
        return ""
    y, x = (f"{side:.6g}" for side in mpp)
    return y if y == x else f"{y}, {x}"


def chosen_channels(roles: Sequence[str], *, needed: bool) -> dict[str, int]:
    """Number of each channel by what it shows.

    Parameters
    ----------
    roles
        What each channel shows; empty for one that is not used.
    needed
        Whether one must show the fiber border.

    Raises
    ------
    ConfigError
        If two channels show the same, or none the border where one must.
    """
    for role in ROLE_WORDS:
        if role and roles.count(role) > 1:
            raise ConfigError(f"Only one channel can show: {ROLE_WORDS[role]}.")
    if needed and "border" not in roles:
        raise ConfigError("Say which channel shows the fiber border.")
    return {role: number for number, role in enumerate(roles) if role}
