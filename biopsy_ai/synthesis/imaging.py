"""What cutting, mounting and scanning do to a section: folds, tears, dust, blur, noise, JPEG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.parameters import ImagingParams
from biopsy_ai.synthesis.texture import Float32, smooth_noise


def _band(
    shape: tuple[int, int], width_px: float, rng: np.random.Generator, wave: float = 0.06
) -> NDArray[np.bool_]:
    """A wavy band across the field."""
    grid_y, grid_x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = float(rng.uniform(0, np.pi))
    across = grid_y * np.cos(angle) + grid_x * np.sin(angle)
    across += smooth_noise(rng, shape, max(shape) / 3) * wave * max(shape)
    low, high = (np.quantile(across[::16, ::16], share) for share in (0.1, 0.9))
    middle = float(rng.uniform(low, high))
    return np.abs(across - middle) < width_px / 2


def tears(
    shape: tuple[int, int], count: int, mpp: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """White cracks torn through the section."""
    torn = np.zeros(shape, dtype=bool)
    for _ in range(count):
        torn |= _band(shape, float(rng.uniform(3, 25)) / mpp, rng) & (
            smooth_noise(rng, shape, 80 / mpp) > 0
        )
    return torn


def fold_factor(
    shape: tuple[int, int], count: int, mpp: float, rng: np.random.Generator
) -> Float32:
    """Factor on the optical density, above 1 in folds: there the tissue lies double."""
    factor = np.ones(shape, dtype=np.float32)
    for _ in range(count):
        factor[_band(shape, float(rng.uniform(10, 40)) / mpp, rng)] *= float(rng.uniform(1.5, 2.2))
    return factor


def scan_bright_field(
    od: Float32, imaging: ImagingParams, mpp: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Turn optical density (H, W, 3) into the 8-bit RGB picture that a scanner gives.

    Returns
    -------
    image : (H, W, 3) ndarray of uint8
    dust : (H, W) ndarray of bool
        Where dust lies on the glass.
    """
    light = np.asarray(imaging.white, dtype=np.float32)
    image = light * np.power(np.float32(10), -(od + np.float32(imaging.background)))
    image *= _shading(od.shape, imaging, rng)
    image = _resolve(image, imaging, mpp)
    image, dust = _dust(image, imaging, mpp, rng)
    image += imaging.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return as_jpeg((np.clip(image, 0, 1) * 255).astype(np.uint8), imaging.jpeg_quality), dust


def scan_fluorescence(
    intensity: Float32, imaging: ImagingParams, mpp: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Turn relative intensity (H, W) into a 16-bit picture with shot and read noise."""
    image = _resolve(intensity * _shading(intensity.shape, imaging, rng), imaging, mpp)
    photons = 1 / max(imaging.noise, 1e-3) ** 2
    image = np.clip(image, 0, None) + imaging.background
    image += np.sqrt(image / photons) * rng.standard_normal(image.shape, dtype=np.float32)
    image += 0.3 * imaging.noise * rng.standard_normal(image.shape, dtype=np.float32)
    return (np.clip(image / 2.5, 0, 1) * 4095).astype(np.uint16)


def _shading(shape: tuple[int, ...], imaging: ImagingParams, rng: np.random.Generator) -> Float32:
    field = smooth_noise(rng, (shape[0], shape[1]), max(shape[:2]) / 2)
    shade = np.exp(imaging.uneven_light * field)
    return shade[..., None] if len(shape) == 3 else shade


def _resolve(image: Float32, imaging: ImagingParams, mpp: float) -> Float32:
    """Blur by the optics and by the pixels of the scanner."""
    import cv2

    sigma = imaging.blur_um / mpp
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if imaging.source_mpp > 1.05 * mpp:
        height, width = image.shape[:2]
        factor = mpp / imaging.source_mpp
        small = (max(round(width * factor), 2), max(round(height * factor), 2))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def _dust(
    image: Float32, imaging: ImagingParams, mpp: float, rng: np.random.Generator
) -> tuple[Float32, NDArray[np.bool_]]:
    """Put dust on the glass, and tell where."""
    import cv2

    where = np.zeros(image.shape[:2], dtype=np.uint8)
    for _ in range(imaging.dust):
        y, x = (int(rng.integers(0, n)) for n in image.shape[:2])
        radius = max(int(rng.uniform(1, 9) / mpp), 1)
        shade = float(rng.uniform(0.05, 0.5))
        axes = (radius, max(radius // int(rng.integers(1, 4)), 1))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(image, (x, y), axes, angle, 0, 360, (shade,) * 3, -1, cv2.LINE_AA)
        cv2.ellipse(where, (x, y), axes, angle, 0, 360, 1, -1)
    return image, where > 0


def as_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Give an RGB picture back as JPEG of a quality does; from 97 on as it is."""
    import cv2

    if quality >= 97:
        return image
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if ok else None
    return image if decoded is None else np.ascontiguousarray(decoded[..., ::-1])
