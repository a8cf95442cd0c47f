"""Recognising the stain of a section from its colors, and saying when that contradicts the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.slides.color import white_level
from biopsy_ai.slides.stain_colors import (
    FEATURES,
    StainColors,
    color_features,
    estimate_white,
    optical_densities,
    stain_colors,
)
from biopsy_ai.slides.tissue import (
    THUMBNAIL_MPP,
    TissueMask,
    is_background_unclear,
    is_dark_background,
)

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

UNKNOWN = "unknown"
"""What a section is called whose colors fit no stain."""

STAIN_OF = {
    "he": "he",
    "gomori": "trichrome",
    "masson": "trichrome",
    "sirius_red": "sirius_red",
    "atpase:9.4": "atpase",
    "atpase:4.6": "atpase",
    "atpase:4.3": "atpase",
    "nadh": "nadh_sdh",
    "sdh": "nadh_sdh",
    "cox": "cox",
    "violet": UNKNOWN,
    "violet_on_violet": UNKNOWN,
}
"""What a section of each drawn stain is called. Hematoxylin without eosin, on a clear or a stained
ground, is no stain of muscle, but has nearly the color of formazan. The pH of an ATPase reaction
cannot be told from the colors, nor NADH-TR from SDH."""

TITLES = {
    "he": "H&E",
    "trichrome": "trichrome",
    "sirius_red": "picrosirius red",
    "atpase": "ATPase",
    "nadh_sdh": "NADH-TR or SDH",
    "cox": "COX",
    "if": "immunofluorescence",
    UNKNOWN: "no stain that is known",
}
"""Stains as they are written for people."""

OTHER_SQUARED_DISTANCE = 24.3
"""Beyond this squared Mahalanobis distance from every stain a section is more likely something
else: 99.9 % of the sections of a stain lie nearer (chi-squared, 7 features). [D]"""

MIN_CONFIDENCE = 0.5
"""No stain is named that is less likely than all others together. [default]"""

WARNING_CONFIDENCE = 0.8
"""From this confidence on a contradiction is told. [default]"""

DARK_CONFIDENCE, DIM_CONFIDENCE = 0.95, 0.6
"""Confidence in immunofluorescence, which is told by a dark ground and not by color; and where a
gray ground is neither clearly dark nor clearly bright. [default]"""

RECOGNISED_CONFIDENCE = 0.6
"""From this confidence on an analysis follows the stain that was recognised. [default]"""

_COLORLESS = 1.5 / 255

_ENOUGH = 500_000
"""Pixels that are looked at for colors, at least, where there are more."""


@dataclass(frozen=True)
class StainCall:
    """Which stain a section seems to have.

    Attributes
    ----------
    stain
        ``he``, ``trichrome``, ``sirius_red``, ``atpase``, ``nadh_sdh``, ``cox``, ``if`` or
        ``unknown``.
    confidence
        Probability of that, 0..1, if all stains are equally likely beforehand; 0 where the picture
        does not tell. What is known of the scatter of laboratories stands behind it, not a count
        of real sections.
    variant
        ``gomori`` or ``masson`` for a trichrome, else None.
    probabilities
        Probability by stain; empty where the color was not looked at.
    features
        Statistics by name, see `biopsy_ai.slides.stain_colors.color_features`.
    reason
        What was seen, in a sentence.
    """

    stain: str
    confidence: float
    variant: str | None
    probabilities: dict[str, float]
    features: dict[str, float]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class SectionStain:
    """The stain that an analysis goes by.

    Attributes
    ----------
    name
        One of `biopsy_ai.config.STAINS` but ``auto``, ``nadh_sdh`` or ``unknown``.
    source
        ``given`` by the user, ``recognised`` or ``unknown``.
    call
        What the picture looks like.
    """

    name: str
    source: str
    call: StainCall


def settle_stain(call: StainCall, named: str, channels: Mapping[str, int]) -> SectionStain:
    """Choose the stain to go by: what the user says, else what was recognised clearly enough.

    Parameters
    ----------
    call
        What was recognised.
    named
        One of `biopsy_ai.config.STAINS`.
    channels
        Channel number by name; a named border channel says that it is immunofluorescence.
    """
    if named != "auto":
        return SectionStain(named, "given", call)
    if "border" in channels:
        return SectionStain("if", "given", call)
    if call.stain != UNKNOWN and call.confidence >= RECOGNISED_CONFIDENCE:
        return SectionStain(call.stain, "recognised", call)
    return SectionStain(UNKNOWN, "unknown", call)


def detect_stain(slide: Slide, tissue: TissueMask | None = None) -> StainCall:
    """Recognise the stain of a slide from its thumbnail.

    Parameters
    ----------
    slide
        The slide.
    tissue
        Its tissue, where that is known: labels and pen outside it are not looked at then.

    Raises
    ------
    SlideReadError
        If the slide cannot be read.
    """
    image, mpp = slide.thumbnail(THUMBNAIL_MPP)
    mask = None
    if tissue is not None and tissue.mask.shape == image.shape[:2]:
        mask = tissue.mask
    call = recognise_stain(image, white=white_level(slide.dtype), is_rgb=slide.is_rgb, mask=mask)
    if call.stain == "if" and is_background_unclear(slide):
        return replace(call, confidence=DIM_CONFIDENCE)
    return call


def recognise_stain(
    image: NDArray[np.float32],
    *,
    white: float = 255.0,
    is_rgb: bool = True,
    mask: NDArray[np.bool_] | None = None,
    colors: StainColors | None = None,
) -> StainCall:
    """Recognise the stain of a picture.

    Parameters
    ----------
    image
        (rows, columns, channels) picture of a few µm per pixel.
    white
        White of the file's type.
    is_rgb
        Whether the picture is stored as a color image.
    mask
        (rows, columns) bool, where to look; everywhere if not given.
    colors
        What each stain looks like; the numbers that come with biopsy-ai if not given.

    Returns
    -------
    StainCall

    Notes
    -----
    A dark ground is immunofluorescence. Else the posterior probability of each stain follows from
    the Mahalanobis distance D of the color statistics to its mean, ``exp(-D² / 2)``, against the
    constant ``exp(-24.3 / 2)`` of "something else" (linear discriminant analysis, Fisher 1936).
    Stains with variants share their weight among these. Violet pictures without eosin have centers
    of their own, which add to "something else".
    """
    if is_dark_background(image, is_rgb, white):
        reason = "light on a dark ground"
        return StainCall("if", DARK_CONFIDENCE, None, {}, {}, reason)
    if image.shape[-1] != 3:
        return _unknown("the picture is gray, and stains are told by their colors")
    light = estimate_white(image, white)
    pixels = image[mask] if mask is not None else image.reshape(-1, 3)
    pixels = pixels[:: max(len(pixels) // _ENOUGH, 1)]
    if not len(pixels) or float(np.ptp(pixels, axis=-1).max()) <= _COLORLESS * white:
        return _unknown("the picture is gray, and stains are told by their colors")
    features = color_features(optical_densities(pixels, light))
    if features is None:
        return _unknown("too little of the picture is stained")
    colors = colors or stain_colors()
    distances = colors.squared_distances(features)
    variants = [STAIN_OF[stain] for stain in colors.stains]
    shared = np.array([1 / variants.count(stain) for stain in variants])
    weights = shared * np.exp((distances.min() - distances) / 2)
    other = float(np.exp((distances.min() - OTHER_SQUARED_DISTANCE) / 2))
    total = float(weights.sum()) + other
    probabilities = dict.fromkeys(variants, 0.0)
    for stain, weight in zip(variants, weights, strict=True):
        probabilities[stain] += float(weight) / total
    probabilities[UNKNOWN] = probabilities.get(UNKNOWN, 0.0) + other / total
    stain = max(probabilities, key=lambda name: probabilities[name])
    confidence = probabilities[stain]
    if confidence < MIN_CONFIDENCE:
        stain, confidence = UNKNOWN, 0.0
    nearest = colors.stains[int(np.argmin(distances))]
    return StainCall(
        stain=stain,
        confidence=confidence,
        variant=nearest if stain == "trichrome" else None,
        probabilities=probabilities,
        features={name: float(v) for name, v in zip(FEATURES, features, strict=True)},
        reason=_describe(features, nearest, float(np.sqrt(distances.min()))),
    )


def stain_contradiction(call: StainCall, stain: str) -> str | None:
    """Warn where the picture contradicts the stain that the user named.

    Parameters
    ----------
    call
        What was recognised.
    stain
        One of `biopsy_ai.config.STAINS`.

    Returns
    -------
    str or None
        None where nothing was named, where the picture agrees, or where it is not clear enough.
    """
    named = _group(stain)
    if named is None or call.stain in (UNKNOWN, named) or call.confidence < WARNING_CONFIDENCE:
        return None
    return (
        f"The picture looks like {TITLES[call.stain]} (confidence {call.confidence:.2f}: "
        f"{call.reason}), but the stain was given as {stain}. Check --stain, and whether this is "
        "the right file; the stain that was given is used."
    )


def _group(stain: str) -> str | None:
    """Name under which a stain of the settings is recognised; None for ``auto``."""
    if stain == "auto":
        return None
    return STAIN_OF.get(stain, stain.partition(":")[0])


def _unknown(reason: str) -> StainCall:
    return StainCall(UNKNOWN, 0.0, None, {}, {}, reason)


def _describe(features: NDArray[np.float64], nearest: str, distance: float) -> str:
    red, blue = (float(features[FEATURES.index(f"{name}_share_p50")]) for name in ("red", "blue"))
    name = nearest.replace("_", " ")
    return (
        f"of the light that the tissue absorbs, {red:.0%} is red, {1 - red - blue:.0%} green and "
        f"{blue:.0%} blue; nearest to {name}, {distance:.1f} standard deviations away"
    )
