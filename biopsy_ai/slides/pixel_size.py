"""Pixel sizes: what files state, what users give, and which of the two is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from biopsy_ai.config import MPP_GIVEN, MPP_MAX, MPP_MIN
from biopsy_ai.errors import PixelSizeError

CONTRADICTION = 0.05
"""Relative difference between given and stated pixel size that is reported. [default]"""

HOW_TO_GIVE = "Give the pixel size in µm, for example --mpp 0.5 (in Python mpp=0.5)."

_UNITS_UM = {
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "um": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "micrometers": 1.0,
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}


@dataclass(frozen=True)
class PixelSize:
    """What a file states about its pixel size.

    Attributes
    ----------
    mpp
        µm per pixel (y, x) as stated, plausible or not; ``None`` where nothing usable stands.
    source
        Where it stands, for instance "OME metadata".
    hint
        Why nothing usable was found, for the error message; may be empty.
    """

    mpp: tuple[float, float] | None = None
    source: str = ""
    hint: str = ""


def unit_um(unit: str | None) -> float | None:
    """Length of a unit in µm, or ``None`` where it is no unit of length (such as "pixel")."""
    return _UNITS_UM.get(unit.strip().lower()) if unit else None


def from_lengths(
    y: float | None, x: float | None, y_unit: str | None, x_unit: str | None, source: str
) -> PixelSize | None:
    """Pixel size from lengths per pixel; a missing side takes the other's.

    Returns ``None`` where neither side is known.
    """
    sides = []
    for value, unit in ((y, y_unit), (x, x_unit)):
        scale = unit_um(unit)
        sides.append(None if value is None or scale is None else value * scale)
    known = [side for side in sides if side is not None]
    if not known:
        return None
    y_um, x_um = (known[0] if side is None else side for side in sides)
    return PixelSize((y_um, x_um), source)


def from_resolution(y: float, x: float, unit_length_um: float | None, source: str) -> PixelSize:
    """Pixel size from a resolution in pixels per unit.

    Programs write print resolutions (72, 96, 300, 600 dpi) into images that were never
    calibrated. They imply pixels of 40 µm and more, so a resolution that implies more than
    `MPP_MAX` is no pixel size.
    """
    if unit_length_um is None:
        return PixelSize()
    if not all(math.isfinite(value) and value > 0 for value in (y, x)):
        return PixelSize(hint=f"the {source} is not a positive number")
    mpp = (unit_length_um / y, unit_length_um / x)
    if max(mpp) > MPP_MAX:
        dpi = 25400.0 / max(mpp)
        return PixelSize(hint=f"its {source} of {dpi:.4g} dpi is one for printing")
    return PixelSize(mpp, source)


def is_plausible(mpp: Sequence[float]) -> bool:
    """Whether both sides lie within the range of light microscopes, `MPP_MIN` to `MPP_MAX`."""
    return all(math.isfinite(side) and MPP_MIN <= side <= MPP_MAX for side in mpp)


def format_mpp(mpp: Sequence[float]) -> str:
    """Pixel size for messages: one number, or y × x where the sides differ."""
    y, x = mpp
    return f"{y:.4g}" if f"{y:.4g}" == f"{x:.4g}" else f"{y:.4g} × {x:.4g}"


def check_mpp(mpp: float | Sequence[float], where: str) -> tuple[float, float]:
    """Turn a pixel size given by a user into (y, x).

    Parameters
    ----------
    mpp
        µm per pixel, one number or (y, x).
    where
        File the message names.

    Raises
    ------
    PixelSizeError
        It is not one or two numbers within the plausible range.
    """
    try:
        if isinstance(mpp, (str, bytes)):
            raise TypeError
        sides = [float(side) for side in mpp] if isinstance(mpp, Sequence) else [float(mpp)] * 2
    except (TypeError, ValueError):
        sides = []
    if len(sides) != 2:
        raise PixelSizeError(f"{where}: {mpp!r} is no pixel size. {HOW_TO_GIVE}")
    if not is_plausible(sides):
        raise PixelSizeError(
            f"{where}: the given pixel size of {format_mpp(sides)} µm is implausible for a "
            f"microscope (outside {MPP_MIN}–{MPP_MAX} µm). {HOW_TO_GIVE}"
        )
    return sides[0], sides[1]


def resolve_pixel_size(
    path: Path, stated: PixelSize, given: float | Sequence[float] | None
) -> tuple[tuple[float, float], str, list[str]]:
    """Decide on the pixel size of a slide.

    Parameters
    ----------
    path
        File the messages name.
    stated
        What the file states.
    given
        What the user gave; it wins.

    Returns
    -------
    mpp, source, warnings
        µm per pixel (y, x), where it comes from, and a warning where given and stated pixel
        size differ by more than 5 %.

    Raises
    ------
    PixelSizeError
        There is none, or the one that counts is implausible.
    """
    if given is not None:
        mpp = check_mpp(given, str(path))
        warnings = []
        if stated.mpp is not None and is_plausible(stated.mpp):
            off = max(abs(a / b - 1) for a, b in zip(mpp, stated.mpp, strict=True))
            if off > CONTRADICTION:
                warnings.append(
                    f"{path}: the given pixel size of {format_mpp(mpp)} µm contradicts the "
                    f"{format_mpp(stated.mpp)} µm of the file ({stated.source}); "
                    "the given one is used."
                )
        return mpp, MPP_GIVEN, warnings
    if stated.mpp is None:
        reason = f" ({stated.hint})" if stated.hint else ""
        raise PixelSizeError(f"{path}: the file states no pixel size{reason}. {HOW_TO_GIVE}")
    if not is_plausible(stated.mpp):
        raise PixelSizeError(
            f"{path}: the pixel size of {format_mpp(stated.mpp)} µm in the file "
            f"({stated.source}) is implausible for a microscope (outside {MPP_MIN}–{MPP_MAX} µm). "
            f"{HOW_TO_GIVE}"
        )
    return stated.mpp, stated.source, []
