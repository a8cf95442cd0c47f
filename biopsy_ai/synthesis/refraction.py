"""Relief of unstained tissue, where a mountant does not have the refractive index of tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.raster import Layers
from biopsy_ai.synthesis.texture import Float32, smooth_noise

_BRIGHTEST = -0.04
"""Optical density of the brightest line, which gathers light from beside it. [default]"""


def add_relief(
    od: Float32,
    layers: Layers,
    glass: NDArray[np.bool_],
    strength: float,
    mpp: float,
    rng: np.random.Generator,
) -> None:
    """Add dark lines beside bright ones to an optical density (H, W, 3), in place.

    Stains by enzymes are mounted in water or glycerol jelly, in which connective tissue and the
    edges of fibers bend light. They show as gray lines of no stain, dark on one side and bright on
    the other: a picture out of focus is, to first order, the bending of the phase (its Laplacian;
    Teague 1983, J Opt Soc Am 73:1434).

    Parameters
    ----------
    strength
        0 none .. 1 as clear as pale fibers.
    mpp
        Pixel size, µm.
    """
    shape = layers.labels.shape
    is_fiber = layers.labels > 0
    # fibrils run as fine bent lines: where a field of noise changes its sign
    fibrils = np.zeros(shape, dtype=np.float32)
    for _ in range(2):
        field = smooth_noise(rng, shape, float(rng.uniform(5, 16)) / mpp)
        field += 0.15 * smooth_noise(rng, shape, float(rng.uniform(2, 4)) / mpp)
        fibrils += np.exp(-((field / 0.2) ** 2))
    fibrils *= np.clip(0.8 + 0.5 * smooth_noise(rng, shape, 40 / mpp), 0.1, 1.8)
    grain = smooth_noise(rng, shape, float(rng.uniform(1.0, 2.0)) / mpp)
    # cells and debris between the fibers, in places
    debris = smooth_noise(rng, shape, float(rng.uniform(4, 8)) / mpp)
    dense = np.clip(smooth_noise(rng, shape, 45 / mpp) - float(rng.uniform(0.9, 2.2)), 0, 1)
    between = fibrils + 0.12 * grain + 1.3 * dense * debris
    phase = np.where(is_fiber, 0.7 + 0.15 * float(rng.uniform(0.3, 1.0)) * grain, between)
    clear = glass | (layers.fat > 0) | layers.vessel_lumen
    phase[clear] = 0
    out_of_focus = float(rng.uniform(0.5, 1.0)) / mpp
    relief = strength * 0.35 * _bending(phase.astype(np.float32), out_of_focus)
    # macrophages and debris also swallow some light
    swallowed = 0.1 * strength * dense * np.clip(debris, 0, None) * ~(is_fiber | clear)
    od += (relief + swallowed)[..., None]
    np.maximum(od, _BRIGHTEST, out=od)


def _bending(phase: Float32, sigma_px: float) -> Float32:
    """Laplacian of a field seen through a blur of `sigma_px`, of the order of the field's steps."""
    import cv2

    near = cv2.GaussianBlur(phase, (0, 0), sigma_px)
    far = cv2.GaussianBlur(phase, (0, 0), 1.6 * sigma_px)
    return np.asarray(near - far, dtype=np.float32)
