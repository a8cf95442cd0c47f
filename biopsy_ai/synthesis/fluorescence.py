"""Stain a section for immunofluorescence: intensities of the border, of myosin and of nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.parameters import ImagingParams
from biopsy_ai.synthesis.raster import Layers
from biopsy_ai.synthesis.render import HYBRID_WEIGHT, draw_fat, rim_distances
from biopsy_ai.synthesis.texture import Float32, fibrous_noise, smooth_noise

MYOSINS = ("I", "IIA", "IIX")
"""Types whose myosin heavy chain is stained, each in a channel of its own."""


def stain_border(
    geometry: Geometry,
    layers: Layers,
    holes: NDArray[np.bool_],
    glass: NDArray[np.bool_],
    *,
    imaging: ImagingParams,
    mpp: float,
    rng: np.random.Generator,
) -> Float32:
    """Relative intensity of the fiber-border channel, (H, W), about 0..1.

    Laminin or WGA lies on the membrane of each fiber, in vessel walls and, more or less,
    throughout the connective tissue.
    """
    shape = layers.labels.shape
    inside, outside = rim_distances(layers, mpp)
    patchy = smooth_noise(rng, shape, 30 / mpp)
    fibrous = fibrous_noise(rng, shape, 3 / mpp)
    fine = smooth_noise(rng, shape, 1.0 / mpp)
    sheath = float(rng.uniform(0.5, 1.6))
    middle = float(rng.uniform(0.3, 1.0))
    membrane = np.exp(-0.5 * ((outside - middle) / sheath) ** 2)
    fiber = layers.labels > 0
    membrane[fiber] = np.exp(-0.5 * ((inside[fiber] + middle) / sheath) ** 2)
    bright = np.clip(1 + 0.25 * patchy + 0.1 * fine, 0.15, 2.0)
    image = membrane * bright
    stroma = float(rng.choice([0.0, 0.03, rng.uniform(0.05, 0.9)]))
    between = (layers.labels == 0) & (layers.fat == 0)
    image = np.where(
        between & ~layers.fascicle,
        np.maximum(image * 0.9, stroma * np.clip(0.5 + 0.5 * fibrous, 0, 1.6)),
        image,
    )
    gap = float(rng.uniform(0, 0.6))
    image = np.where(between & layers.fascicle, np.maximum(image, gap * layers.septa), image)
    vessel = float(rng.uniform(0.3, 1.5))
    image[layers.vessel_wall] = vessel * np.clip(1 + 0.3 * fibrous[layers.vessel_wall], 0.3, 2)
    image[layers.vessel_lumen] *= 0.1
    image[layers.nerve] = 0.4 * np.clip(1 + fine[layers.nerve], 0, 2)
    image[layers.infiltrate] += 0.3 * np.clip(fine[layers.infiltrate], 0, 2)
    if (layers.fat > 0).any():
        rim = np.zeros((*shape, 1), dtype=np.float32)
        draw_fat(rim, layers, np.ones(1, dtype=np.float32), mpp, rng)
        image = np.where(layers.fat > 0, rim[..., 0] * vessel * 0.7, image)
    count = len(geometry.fibers)
    # in some stains, and in some fibers of any, the inside is as dark as the space around
    strength = rng.uniform(0.0, 0.004) if rng.random() < 0.35 else rng.uniform(0.005, 0.06)
    glow = rng.gamma(2.0, float(strength), count + 1).astype(np.float32)
    glow[rng.random(count + 1) < 0.1] *= 0.05
    haze = rng.random(count + 1) < float(rng.choice([0.01, 0.06]))
    glow[haze] = rng.uniform(0.2, 0.7, int(haze.sum()))
    glow[0] = 0
    mottle = np.clip(1 + 0.3 * fine + 0.2 * patchy, 0, 2)
    image += np.where(holes, 0, glow[layers.labels]) * mottle
    if rng.random() < 0.5:
        # out-of-focus membrane of obliquely cut fibers: a crescent inside one side of the fiber
        crescent = np.exp(-inside / float(rng.uniform(1.5, 5))) * np.clip(patchy, 0, 1.5)
        image += float(rng.uniform(0.1, 0.5)) * np.where(layers.labels > 0, crescent, 0)
    spots = (smooth_noise(rng, shape, 2.0 / mpp) > 3.1) & (layers.labels > 0)
    image[spots] += float(rng.uniform(0.1, 0.6))
    image[glass] = 0
    return np.asarray(image, dtype=np.float32)


def stain_myosin(
    geometry: Geometry,
    layers: Layers,
    holes: NDArray[np.bool_],
    glass: NDArray[np.bool_],
    *,
    imaging: ImagingParams,
    mpp: float,
    rng: np.random.Generator,
) -> dict[str, Float32]:
    """Relative intensity of the channels of slow, IIA and IIX myosin, each (H, W), about 0..1.1.

    A hybrid fiber is positive in two, more weakly in each. Every channel shows a little of the
    others, of antibody that sticks anywhere, and of the tissue's own glow.
    """
    shape = layers.labels.shape
    amount = np.zeros((len(geometry.fibers) + 1, len(MYOSINS)))
    glow = np.zeros(amount.shape)
    sticky = float(rng.uniform(0.008, 0.04))
    for i, fiber in enumerate(geometry.fibers, start=1):
        types = fiber.type.split("/")
        weight = float(rng.uniform(*HYBRID_WEIGHT)) if len(types) > 1 else 1.0
        for name, share in zip(types, (weight, 1 - weight), strict=False):
            amount[i, MYOSINS.index(name)] = share
        amount[i] *= np.exp(imaging.fiber_variation * rng.standard_normal(len(MYOSINS)))
        # its own glow is the same in all channels of a fiber, what sticks is not
        glow[i] = rng.gamma(2.0, sticky) + rng.gamma(2.0, 0.5 * sticky, len(MYOSINS))
        if fiber.condition in ("necrotic", "phagocytosed"):
            amount[i] *= float(rng.uniform(0.1, 0.6))
            glow[i] += float(rng.uniform(0.05, 0.3))
        elif fiber.condition == "regenerating":
            amount[i] = 0.7 * amount[i] + 0.2 * rng.random(len(MYOSINS))
        elif fiber.condition == "hypercontracted":
            amount[i] *= float(rng.uniform(1.1, 1.4))
    through = np.eye(len(MYOSINS)) + rng.uniform(0.0, 0.08, (len(MYOSINS), len(MYOSINS)))
    exposure = rng.uniform(0.6, 1.1, len(MYOSINS))
    level = ((amount @ through + glow) * exposure).astype(np.float32)
    fine = smooth_noise(rng, shape, float(rng.uniform(0.8, 2.0)) / mpp)
    grain = smooth_noise(rng, shape, float(rng.uniform(5, 14)) / mpp)
    texture = imaging.texture * float(rng.uniform(0.04, 0.14))
    mottle = np.clip(1 + texture * (0.6 * fine + 0.5 * grain), 0.2, 2)
    mottle[holes] *= float(rng.uniform(0.05, 0.3))
    haze = np.clip(0.7 + 0.3 * fibrous_noise(rng, shape, 3 / mpp), 0, 2)
    haze *= layers.fat == 0
    haze[layers.vessel_wall] *= float(rng.uniform(1, 3))
    planes = {}
    for channel, name in enumerate(MYOSINS):
        between = float(rng.uniform(0.005, 0.04)) * haze
        plane = np.where(layers.labels > 0, level[layers.labels, channel] * mottle, between)
        plane[glass] = 0
        planes[name] = np.asarray(plane, dtype=np.float32)
    return planes


def stain_nuclei(
    nuclei_labels: NDArray[np.int32],
    layers: Layers,
    glass: NDArray[np.bool_],
    *,
    mpp: float,
    rng: np.random.Generator,
    pyknotic: NDArray[np.bool_] | None = None,
) -> Float32:
    """Relative intensity of the nucleus channel, (H, W), about 0..1.5.

    ``pyknotic`` tells which nuclei (0..n) are dense.
    """
    shape = layers.labels.shape
    bright = np.clip(rng.normal(1.0, 0.25, int(nuclei_labels.max(initial=0)) + 1), 0.4, 1.6)
    if pyknotic is not None:
        bright[pyknotic[: len(bright)]] += 0.5
    bright[0] = 0
    fine = smooth_noise(rng, shape, 1.0 / mpp)
    patchy = smooth_noise(rng, shape, 20 / mpp)
    haze = float(rng.uniform(0.005, 0.05)) * np.clip(1 + 0.3 * patchy, 0, 2)
    plane = bright[nuclei_labels] * np.clip(1 + 0.25 * fine, 0.4, 1.6) + haze
    plane[glass] = 0
    return np.asarray(plane, dtype=np.float32)
