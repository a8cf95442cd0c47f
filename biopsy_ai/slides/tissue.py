"""Telling tissue from empty glass (bright field) and from empty background (fluorescence).

Tiles without tissue are never segmented, so the masks are generous: what they take in wrongly
costs time, what they leave out wrongly costs fibers.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import NoTissueError, SlideReadError
from biopsy_ai.region import CONTEXT_UM, Region, region_mask
from biopsy_ai.slides.color import white_level

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

THUMBNAIL_MPP = 4.0
"""Scale at which tissue is sought, µm; a fiber border still shows. [default]"""
MARGIN_UM = 30.0
"""Tissue grows by this much. [default]"""
GLASS_OD = 0.05
"""Glass differs from white by less than this optical density (base e). [default]"""
LINE_UM, LINE_OD = 4.0, 0.06
"""Thin lines, such as the walls of fat cells, are denser than this (base e), blurred by this much.
[default]"""
FIELD_UM2 = 2.5e6
"""Fields in bright field up to this size are looked at as a whole: fat cells that the image border
cuts cannot be told from glass there, and it costs seconds. [default]"""
HOLE_UM2 = 50_000.0
"""Glass enclosed by tissue is looked at if no larger: it may be fat. [default]"""
GLASS_RADIUS_UM = 60.0
"""Glass is what a disc of this radius fits into; cracks and fat cells stay tissue. [default]"""
FIBER_RADIUS_UM = 60.0
"""Dark holes up to twice this wide are the inside of fibers (fluorescence). [default]"""
BLUR_UM = 8.0
"""Blur that takes away noise and leaves whatever could be tissue. [default]"""
SHARP_UM = 3.0
"""Blur for the area of the tissue (fluorescence). [default]"""
SPECK_UM2 = 500.0
"""Smaller objects are dirt. [default]"""
EVEN_UM = 120.0
"""Squares of this side hold a fiber border unless they are glass; uneven light is read off those.
[default]"""
DARK_GROUND = 0.33
"""Gray images whose mean is below this share of the way from dark to bright are fluorescence, where
bright lines fill little of a field. [default]"""
DARK_GROUND_UNCLEAR = (0.24, 0.42)
"""Between these shares the other kind occurs as well. [default]"""
DIM = 0.25
"""Bright field is exposed to more than this share of white. [default]"""
DIMMEST = 0.01
"""Color of more than 8 bits whose brightest pixel is below this share of white holds 8 bits of
something else, such as of whole numbers of 32 bits. [default]"""
BRIGHTEST = 1.5
"""Floating-point color may be this much brighter than white: sharpening overshoots. [default]"""
_EVEN_SQUARES = 12
_EVEN_SD = 0.02
_SHADING_OD = 0.3
_WHITE_SATURATION = 0.2
_SIGNAL_FRACTION = 0.04
_CONTRAST = 0.03


@dataclass(frozen=True)
class TissueMask:
    """Where a slide holds tissue.

    Attributes
    ----------
    mask
        (rows, columns) bool on the grid ``slide.grid_shape(mpp)``; reaches `MARGIN_UM` beyond the
        tissue, so that no fiber at its edge is missed, and covers holes that may be fat. Of a
        region it covers the surroundings too.
    mpp
        µm per pixel of the mask, both axes.
    area_um2
        Area of the tissue itself, without that margin and those holes, in the region if there is
        one.
    sought
        Where fibers and fat are sought, on the same grid, if not in the mask alone.
    """

    mask: NDArray[np.bool_]
    mpp: float
    area_um2: float
    sought: NDArray[np.bool_] | None = None


def tissue_mask(slide: Slide, stain: str = "auto", region: Region | None = None) -> TissueMask:
    """Find the tissue of a slide, generously.

    Bright field: tissue is whatever does not belong to a wide area as bright and colorless as the
    white point; the mask also covers fat cells that tissue encloses. An image whose brightest parts
    are colored shows no glass, and is tissue as a whole. Dark background: tissue is where any
    channel has signal, with the dark inside of fibers closed.

    Parameters
    ----------
    slide
        The slide.
    stain
        What the user says it is: "if" has a dark background and any other stain a bright one;
        with "auto" the image tells.
    region
        The part of the slide that counts; what lies more than `CONTEXT_UM` outside is taken for
        empty.

    Raises
    ------
    NoTissueError
        The image is blank, or the region is.
    SlideReadError
        The colors do not reach from black to white of the type of the pixels.
    """
    image, mpp = slide.thumbnail(THUMBNAIL_MPP)
    white = white_level(slide.dtype)
    _check_range(slide, float(image.max()), white)
    dark = stain == "if" or (stain == "auto" and has_dark_background(slide))
    if dark:
        mask, tissue = _fluorescent(image, mpp, slide.dtype.kind != "f")
    else:
        mask, tissue = _bright_field(image, mpp, white)
    if not mask.any():
        raise NoTissueError(
            f"{slide.path}: the image is blank, no tissue was found. Check that it is the right "
            "image, and for fluorescence that its channels hold signal."
        )
    whole = not dark and mask.size * mpp**2 <= FIELD_UM2
    sought = np.ones_like(mask) if whole else None
    mask = _dilate(mask, MARGIN_UM / mpp)
    if region is not None:
        inside = region_mask(region, mask.shape, (mpp, mpp))
        tissue = tissue & inside
        if not tissue.any():
            raise NoTissueError(
                f"{slide.path}: the region holds no tissue. Draw it over muscle, or leave it out "
                "to analyze the whole section."
            )
        seen = _dilate(inside, CONTEXT_UM / mpp)
        mask = mask & seen
        sought = None if sought is None else seen
    return TissueMask(mask, mpp, float(tissue.sum()) * mpp**2, sought)


def _check_range(slide: Slide, brightest: float, white: float) -> None:
    """Refuse colors that are stored in another range than that of their type."""
    dim = slide.dtype != np.uint8 and 0 < brightest < DIMMEST * white
    if slide.is_rgb and (dim or brightest > BRIGHTEST * white):
        raise SlideReadError(
            f"{slide.path}: the colors reach {brightest:.4g}, where white is {white:.4g} in pixels "
            f"of type {slide.dtype}. Save the image with 8 or 16 bits per color, without a sign."
        )


def has_dark_background(slide: Slide) -> bool:
    """Whether a slide shows light on black, as `is_dark_background` tells it from a thumbnail.

    Where the user named the border channel of an image that is not color, no doubt is left.
    """
    if "border" in slide.channels and not slide.is_rgb:
        return True
    image, _ = slide.thumbnail(THUMBNAIL_MPP)
    return is_dark_background(image, slide.is_rgb, white_level(slide.dtype))


def is_dark_background(image: NDArray[np.float32], is_rgb: bool, white: float) -> bool:
    """Whether an image shows light on black (fluorescence) rather than stain on white.

    Parameters
    ----------
    image
        (rows, columns, channels) thumbnail.
    is_rgb
        Whether it is a color image; one whose channels are the same counts as gray. Others are
        fluorescence, unless they have one or three channels and each of them, as a gray image,
        looks like bright field.
    white
        Value of white of the file's type.
    """
    if is_gray(image):
        return _gray_ground(image[..., 0], white)[0]
    planes = _planes(image)
    if is_rgb:
        brightest = max(float(plane.max()) for plane in planes)
        darkest = functools.reduce(np.minimum, planes)
        # Color of 12 bits is often stored in 16.
        return bool(np.percentile(darkest, 99) < DIM * min(white, max(brightest, white / 16)))
    return len(planes) != 3 or any(_gray_ground(plane, white)[0] for plane in planes)


def is_background_unclear(slide: Slide) -> bool:
    """Whether a slide is gray, and its brightness leaves open if its background is dark."""
    image, _ = slide.thumbnail(THUMBNAIL_MPP)
    return is_gray(image) and _gray_ground(image[..., 0], white_level(slide.dtype))[1]


def is_gray(image: NDArray[np.float32]) -> bool:
    """Whether all channels are the same, but for a thousandth of the brightest value."""
    if image.shape[2] == 1:
        return True
    return bool(np.abs(image - image[..., :1]).max() <= 1e-3 * image.max())


def _gray_ground(plane: NDArray[np.float32], white: float) -> tuple[bool, bool]:
    """Whether a gray image has a dark background, and whether that is unclear.

    The mean tells, as muscle lets light through even where it is stained, while a fiber border
    lights a small part of a field; unlike the median, the mean stays what it is where thin lines
    run together in a thumbnail. It is taken from black, which tells dark stains from fluorescence,
    and from the darkest value, which does not mind a camera's offset or stretched contrast.
    """
    low, high = (float(value) for value in np.percentile(plane, (0.5, 99.5)))
    mean, brightest, black = float(plane.mean()), float(plane.max()), min(low, 0.0)
    if brightest <= low:
        return mean < DIM * white, False
    if brightest - high > high - low:
        high = brightest  # so little tissue that the percentiles see the ground alone
    share = ((mean - black) / (high - black) + (mean - low) / (high - low)) / 2
    unclear = DARK_GROUND_UNCLEAR[0] < share < DARK_GROUND_UNCLEAR[1]
    # Gray of 12 bits is often stored in 16.
    dim = high < DIM * (white / 16 if white > 255 else white)
    return share < DARK_GROUND or (unclear and dim), unclear


def _bright_field(
    image: NDArray[np.float32], mpp: float, white: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find where to look for tissue, fat among it, and where tissue is for certain."""
    import cv2

    planes = _planes(image)
    blurred = [_smooth(plane, mpp) for plane in planes]
    if all(np.ptp(plane) <= max(_CONTRAST * plane.max(), white / 400) for plane in blurred):
        return (np.zeros(image.shape[:2], bool),) * 2
    whites = [float(np.percentile(plane, 99)) for plane in planes]
    if min(whites) < (1 - _WHITE_SATURATION) * max(whites):
        return (np.ones(image.shape[:2], bool),) * 2
    floor = 1e-3 * max(whites)
    densities = [
        np.log(max(level, floor) / np.maximum(plane, floor, dtype=np.float32))
        for plane, level in zip(planes, whites, strict=True)
    ]
    density = functools.reduce(np.maximum, _without_shading(densities, mpp)).astype(np.float32)
    stained = _without_specks(cv2.medianBlur(density, 3) > GLASS_OD, mpp)
    tissue = ~_open(~stained, GLASS_RADIUS_UM / mpp)
    # The walls of fat cells are thinner than a pixel, and the median takes away thin lines.
    lines = _without_specks(_smooth(density, mpp, LINE_UM) > LINE_OD, mpp)
    wide = ~_open(~(stained | lines), GLASS_RADIUS_UM / mpp)
    return _without_holes(wide, mpp), tissue


def _without_shading(densities: list[NDArray[np.float32]], mpp: float) -> list[NDArray[np.float32]]:
    """Take uneven light off, as the density of glass shows it.

    Squares of `EVEN_UM` that are even throughout are glass; a quadratic surface through their
    densities is subtracted. Where there are too few of them nothing is changed.
    """
    import cv2

    rows, columns = (int(n * mpp / EVEN_UM) for n in densities[0].shape)
    if rows * columns < _EVEN_SQUARES:
        return densities
    grid = (columns, rows)
    means = [cv2.resize(d, grid, interpolation=cv2.INTER_AREA) for d in densities]
    squares = [cv2.resize(d * d, grid, interpolation=cv2.INTER_AREA) for d in densities]
    even = np.ones((rows, columns), bool)
    for mean, square in zip(means, squares, strict=True):
        even &= (square - mean**2 < _EVEN_SD**2) & (mean < _SHADING_OD)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    flat = []
    for density, mean in zip(densities, means, strict=True):
        chosen = even
        for _ in range(5):
            if chosen.sum() < _EVEN_SQUARES:
                return densities
            factors, *_ = np.linalg.lstsq(terms[chosen], mean[chosen], rcond=None)
            # even collagen is darker than the glass around it
            chosen = even & (mean - terms @ factors < _EVEN_SD)
        # beyond the glass that was seen the surface is not followed
        surface = np.clip(terms @ factors, mean[chosen].min(), mean[chosen].max())
        size = density.shape[::-1]
        flat.append(density - cv2.resize(surface.astype(np.float32), size))
    return flat


def _fluorescent(
    image: NDArray[np.float32], mpp: float, is_integer: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the tissue, and again where its signal is, as blur carries that beyond the tissue."""
    mask = np.zeros(image.shape[:2], bool)
    sharp = mask.copy()
    for plane in _planes(image):
        smooth = _smooth(plane, mpp)
        ground, middle, high, dim = np.percentile(smooth, (0.5, 50, 99.5, 30))
        if smooth.max() - ground <= max(_CONTRAST * middle, 0.5 if is_integer else 1e-6):
            continue  # nothing was stained or recorded in this channel
        dark = smooth <= dim
        noise = 1.4826 * float(np.median(np.abs(plane[dark] - smooth[dark])))
        signal = _SIGNAL_FRACTION * (high - ground)
        mask |= smooth > ground + max(signal, noise)
        noise *= BLUR_UM / SHARP_UM  # what is averaged over less is noisier
        sharp |= _smooth(plane, mpp, SHARP_UM) > ground + max(signal, noise)
    mask = _without_specks(mask, mpp)
    wide = _close(mask, FIBER_RADIUS_UM / mpp)
    tight = _close(sharp & mask, FIBER_RADIUS_UM / mpp) & wide
    return wide, tight if tight.any() else wide


def _planes(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Channels one by one; numpy reduces along a short last axis slowly."""
    return [np.ascontiguousarray(plane) for plane in np.moveaxis(image, 2, 0)]


def _smooth(
    plane: NDArray[np.float32], mpp: float, blur_um: float = BLUR_UM
) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(blur_um / mpp, 0.5)))


def _without_specks(mask: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] * mpp**2 >= SPECK_UM2
    kept[0] = False
    return np.asarray(kept[labels])


def _without_holes(mask: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Fill glass that tissue encloses, if no larger than a wide fat cell or a few."""
    import cv2

    glass = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(glass, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] * mpp**2 <= HOLE_UM2
    small[[0, labels[0, 0]]] = False
    return np.asarray(mask | small[labels][1:-1, 1:-1])


def _dilate(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Grow by a disc; the distance transform makes its cost independent of the radius."""
    import cv2

    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance <= radius)


def _close(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Fill holes narrower than twice the radius, those cut by the image border as well."""
    pad = int(np.ceil(radius)) + 1
    wide = np.pad(mask, pad, mode="symmetric")
    closed = ~_dilate(~_dilate(wide, radius), radius)
    return closed[pad:-pad, pad:-pad] | mask


def _open(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Keep the parts that a disc of this radius fits into; the image continues at its border."""
    return ~_close(~mask, radius)
