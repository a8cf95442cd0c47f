"""What colors a stain gives to muscle: the statistics of a picture, and what they usually are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai.slides.color import white_level
from biopsy_ai.slides.tissue import THUMBNAIL_MPP
from biopsy_ai.yaml_text import load_yaml

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

FEATURES = (
    "red_share_p5",
    "red_share_p50",
    "red_share_p95",
    "blue_share_p5",
    "blue_share_p50",
    "blue_share_p95",
    "contrast",
)
"""Statistics of `color_features`, in order."""

PERCENTILES = (5, 50, 95)
"""Those of the shares: nearer to 50 they miss the rarer dye, further out they see noise. Best of
three on a third of the fitted sections. [D]"""
MIN_DENSITY = 0.12
"""Sum of the optical densities of a pixel (base 10) below which its color is noise. [default]"""
MIN_RELATIVE_DENSITY = 0.4
"""The same, relative to the median of the pixels above `MIN_DENSITY`. [default]"""
MAX_DENSITY = 3.6
"""Sum of the optical densities above which a pixel is ink or dust. [default]"""
MIN_PIXELS = 200
"""So many stained pixels are needed to speak of a stain. [default]"""
NEUTRAL = 0.06
"""Glass differs by less than this share between its brightest and its darkest channel. [default]"""
LABORATORY_SHIFT = 0.07
"""Standard deviation by which another laboratory's dyes and camera shift all shares of red, or all
of blue. Among the published vectors of hematoxylin and eosin (Ruifrok & Johnston 2001, Landini,
Macenko 2009; criteria §10) it is 0.04 for red and 0.10 for blue, 0.07 together. [D]"""
LABORATORY_SHARE, LABORATORY_CONTRAST = 0.03, 0.1
"""The same for each share and for the contrast on its own. [default]"""


@dataclass(frozen=True, eq=False)
class StainColors:
    """What `color_features` are like in each stain: one center each, and one common scatter.

    Attributes
    ----------
    stains
        Names of the n stains, as `biopsy_ai.synthesis` draws them, and of pictures that are none
        of muscle but have to be told from them.
    means
        (n, 7) mean features.
    covariance
        (7, 7) scatter within the stains, laboratories included.
    provenance
        How it was fitted.
    """

    stains: tuple[str, ...]
    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    provenance: Mapping[str, Any]

    def squared_distances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squared Mahalanobis distances of (..., 7) features to each stain, (..., n)."""
        apart = np.asarray(features)[..., None, :] - self.means
        return np.asarray((apart @ np.linalg.inv(self.covariance) * apart).sum(axis=-1))


def optical_densities(
    image: NDArray[np.floating[Any]], white: NDArray[np.floating[Any]] | float
) -> NDArray[np.float32]:
    """Optical densities, ``-log10((I + 1) / (I0 + 1))`` on a scale on which white I0 is 255.

    Parameters
    ----------
    image
        (..., channels) intensities.
    white
        (channels,) or one number: the intensity of empty glass.

    Returns
    -------
    (..., channels) float32, not negative; base 10.

    Notes
    -----
    Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291, in the form of criteria §10.
    """
    # in place, and by the natural logarithm: half the time
    light = np.asarray(image, np.float32) * (255 / np.asarray(white, np.float32))
    np.clip(light, 0, 255, out=light)
    light += 1
    light /= 256
    np.log(light, out=light)
    light *= np.float32(-1 / np.log(10))
    return np.asarray(light)


def estimate_white(image: NDArray[np.floating[Any]], white: float) -> NDArray[np.float32]:
    """Color of empty glass, as the brightest parts of a picture show it.

    Parameters
    ----------
    image
        (rows, columns, channels) bright-field picture.
    white
        White of the file's type, the most that can be found.

    Returns
    -------
    (channels,) float32
        The 99th percentile of each channel. Where these differ by more than 6 % the picture shows
        no glass, and the light is taken as white and as bright as the brightest of them. [default]
    """
    flat = image.reshape(-1, image.shape[-1])
    bright = np.minimum(np.percentile(flat, 99, axis=0), white).astype(np.float32)
    top = max(float(bright.max()), 1e-6 * white)
    if float(bright.min()) < (1 - NEUTRAL) * top:
        bright = np.full_like(bright, top)
    return np.asarray(np.maximum(bright, 1e-6 * white), dtype=np.float32)


def white_of(slide: Slide) -> NDArray[np.float32]:
    """(channels,) color of empty glass on a bright-field slide, see `estimate_white`."""
    image, _ = slide.thumbnail(THUMBNAIL_MPP)
    return estimate_white(image, white_level(slide.dtype))


def color_features(densities: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Say of which colors a stained section is, whatever the strength of the stain.

    Parameters
    ----------
    densities
        (..., 3) optical densities of red, green and blue light; glass may be among them.

    Returns
    -------
    (7,) float64 or None
        `FEATURES`: the 5th, 50th and 95th percentile, over stained pixels, of the share that red
        light has in what a pixel absorbs (cyan, blue and green stains absorb red), the same for
        blue light (yellow and brown stains absorb blue), and the contrast, ``log10`` of the 90th
        over the 10th percentile of what is absorbed. None where fewer than `MIN_PIXELS` pixels
        are stained.
    """
    total = densities.sum(axis=-1)
    stained = (total > MIN_DENSITY) & (total < MAX_DENSITY)
    if not stained.any():
        return None
    stained &= total > MIN_RELATIVE_DENSITY * np.median(total[stained])
    if np.count_nonzero(stained) < MIN_PIXELS:
        return None
    absorbed = densities[stained].astype(np.float64)
    total = absorbed.sum(axis=-1)
    low, high = np.percentile(total, (10, 90))
    shares = [np.percentile(absorbed[:, channel] / total, PERCENTILES) for channel in (0, 2)]
    return np.array([*shares[0], *shares[1], np.log10(high / low)])


def fit_stain_colors(
    samples: Mapping[str, Sequence[NDArray[np.float64]]],
    provenance: Mapping[str, Any],
    others: Mapping[str, Sequence[NDArray[np.float64]]] | None = None,
) -> StainColors:
    """Fit the color statistics of stains on pictures of known stain.

    Parameters
    ----------
    samples
        Stain name to the `color_features` of at least two pictures each.
    provenance
        How the pictures were made; stored with the numbers.
    others
        The same of pictures that are no stain of muscle; they give means, and take the scatter
        of the stains.

    Returns
    -------
    StainColors
        Mean by stain, and the covariance pooled over the stains (linear discriminant analysis,
        Fisher 1936), widened by `LABORATORY_SHIFT`, `LABORATORY_SHARE` and `LABORATORY_CONTRAST`:
        laboratories differ by more than drawn sections do.

    Raises
    ------
    ValueError
        If a stain has fewer than two pictures.
    """
    others = others or {}
    if few := [stain for stain, rows in {**samples, **others}.items() if len(rows) < 2]:
        raise ValueError(f"too few pictures of {', '.join(few)}: each stain needs two at least")
    groups = [np.asarray(rows, dtype=np.float64) for rows in samples.values()]
    apart = np.concatenate([rows - rows.mean(axis=0) for rows in groups])
    covariance = apart.T @ apart / (len(apart) - len(groups))
    spread = np.full(len(FEATURES), LABORATORY_SHARE)
    spread[-1] = LABORATORY_CONTRAST
    covariance += np.diag(spread**2)
    for color in (slice(0, 3), slice(3, 6)):
        covariance[color, color] += LABORATORY_SHIFT**2
    groups += [np.asarray(rows, dtype=np.float64) for rows in others.values()]
    means = np.stack([rows.mean(axis=0) for rows in groups])
    return StainColors((*samples, *others), means, covariance, dict(provenance))


def write_stain_colors(colors: StainColors) -> str:
    """YAML of the fitted numbers, as ``stain_colors.yaml`` holds them."""
    values = {
        "provenance": dict(colors.provenance),
        "features": list(FEATURES),
        "means": {
            stain: [round(float(v), 4) for v in row]
            for stain, row in zip(colors.stains, colors.means, strict=True)
        },
        "covariance": [[round(float(v), 7) for v in row] for row in colors.covariance],
    }
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)


def read_stain_colors(text: str) -> StainColors:
    """Read what `write_stain_colors` wrote.

    Raises
    ------
    ValueError
        If the numbers were fitted for other features.
    """
    values = load_yaml(text)
    if tuple(values["features"]) != FEATURES:
        raise ValueError("stain_colors.yaml was fitted for other features: fit it again")
    return StainColors(
        tuple(values["means"]),
        np.array(list(values["means"].values()), dtype=np.float64),
        np.array(values["covariance"], dtype=np.float64),
        values["provenance"],
    )


@lru_cache(maxsize=1)
def stain_colors() -> StainColors:
    """The numbers that come with biopsy-ai; ``benchmarks/stains.py`` fits them."""
    path = files("biopsy_ai.slides").joinpath("stain_colors.yaml")
    return read_stain_colors(path.read_text(encoding="utf-8"))
