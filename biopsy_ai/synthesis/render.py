"""Stain a section in bright field: optical densities."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.parameters import ImagingParams, TissueParams
from biopsy_ai.synthesis.raster import Layers, fill_polygon, parted
from biopsy_ai.synthesis.texture import Float32, fibrous_noise, smooth_noise, whorl
from biopsy_ai.yaml_text import load_yaml

OXIDATIVE = ("nadh", "sdh", "cox")
"""Stains that show mitochondria."""

HYBRID_WEIGHT = (0.35, 0.65)
"""A hybrid fiber holds so much of the myosin of one of its two types. [default]"""


@cache
def _palettes() -> dict[str, Any]:
    text = (files("biopsy_ai.synthesis") / "palettes.yaml").read_text(encoding="utf-8")
    return load_yaml(text)


def shows_nuclei(stain: str) -> bool:
    """Whether nuclei can be seen in a stain."""
    return stain != "if" and _palettes()[stain]["nuclei"] is not None


def _density(rgb: Any) -> Float32:
    """Optical density of an 8-bit color on white: ``-log10((I + 1) / 256)``."""
    return np.asarray(-np.log10((np.asarray(rgb, dtype=float) + 1) / 256), dtype=np.float32)


def rim_distances(layers: Layers, mpp: float) -> tuple[Float32, Float32]:
    """Distance to the fiber border from inside and from outside, µm."""
    import cv2

    labels = layers.labels
    inside = cv2.distanceTransform(parted(labels), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 3)
    return inside * np.float32(mpp), outside * np.float32(mpp)


def stain_bright_field(
    geometry: Geometry,
    layers: Layers,
    nuclei_labels: NDArray[np.int32],
    holes: NDArray[np.bool_],
    glass: NDArray[np.bool_],
    *,
    stain: str,
    tissue: TissueParams,
    imaging: ImagingParams,
    mpp: float,
    rng: np.random.Generator,
    pyknotic: NDArray[np.bool_] | None = None,
    adipose: Float32 | None = None,
) -> Float32:
    """Optical density of a stained section, (H, W, 3).

    ``pyknotic`` tells which nuclei (0..n) are dense, ``adipose`` (H, W, 3) is the optical density
    of real fat for the lobules.
    """
    palette = _palettes()[stain]
    shape = layers.labels.shape
    color = {k: _density(v) for k, v in palette.items() if k != "fibers" and v is not None}
    jitter = np.clip(1 + imaging.hue_jitter * rng.standard_normal((len(color), 3)), 0.5, 1.6)
    color = {k: v * j.astype(np.float32) for (k, v), j in zip(color.items(), jitter, strict=True)}
    inside, _ = rim_distances(layers, mpp)
    fiber_od = _fiber_densities(geometry, palette, color, stain, imaging, rng)
    mean_fiber = fiber_od[1:].mean(0) if len(fiber_od) > 1 else color["endomysium"]

    # between the fibers: strands of endomysium, glass-clear cracks, loose perimysium
    fibrous = fibrous_noise(rng, shape, 3 / mpp)
    loose = smooth_noise(rng, shape, 25 / mpp)
    endomysium = color["endomysium"]
    if imaging.contrast < 1:
        nearby = _density_nearby(fiber_od, layers.labels, mean_fiber, mpp)
        endomysium = endomysium * imaging.contrast + nearby * (1 - imaging.contrast)
    strand = layers.septa * np.clip(1 + 0.25 * fibrous, 0.3, 1.8)
    open_share = np.clip(min(tissue.crack_um, 3.0) / 2 + 0.5 * loose, 0, 1)
    filling = np.maximum(strand, (1 - open_share) * np.clip(0.8 + 0.3 * fibrous, 0.2, 1.5))
    peri = np.clip(0.55 + 0.45 * fibrous + 0.4 * loose, 0.03, 1.7)
    peri *= float(rng.uniform(0.35, 1.3))
    od = np.where(
        layers.fascicle[..., None],
        filling[..., None] * endomysium,
        peri[..., None] * color["collagen"],
    )
    del filling, peri
    if layers.fibrosis.any():
        where = layers.fibrosis & layers.fascicle
        _fill(od, where, color["collagen"], 0.35 * fibrous - 0.1)
    grain = smooth_noise(rng, shape, float(rng.uniform(4, 14)) / mpp)
    # formazan and diaminobenzidine lie in granules, often coarse ones
    finest, coarsest = (0.6, 4.5) if stain in OXIDATIVE else (0.6, 2.0)
    fine = smooth_noise(rng, shape, float(rng.uniform(finest, coarsest)) / mpp)
    _fill(od, layers.vessel_wall, color["vessel"] * float(rng.uniform(0.7, 1.3)), 0.25 * fibrous)
    _fill(od, layers.nerve, color["nerve"], 0.3 * fine)
    blood = rng.random() < 0.4
    _fill(od, layers.vessel_lumen, color["blood"] if blood else 0 * color["blood"], 0.2 * grain)
    _fill(od, layers.infiltrate, color["endomysium"] * 1.2, 0.3 * fine)

    if geometry.spindles:
        _draw_spindles(
            od, geometry, layers, _density(palette["fibers"]["I"]), color["vessel"], fine, mpp
        )

    labels = layers.labels
    is_fiber = labels > 0
    texture = min(imaging.texture * _texture_strength(stain, rng), 0.9)
    rim_gain = float(rng.normal(0.0, 0.12))
    mottle = 1 + texture * (0.5 * fine + 0.35 * grain)
    mottle += rim_gain * np.exp(-inside / 1.5)
    if stain in OXIDATIVE and imaging.texture > 0:
        mottle += _mitochondria(labels, inside, rng)
    mottle *= _condition_texture(geometry, labels, fine, grain, stain, mpp, rng)
    fibers = fiber_od[labels] * np.clip(mottle, 0.1, 2.5)[..., None]
    od = np.where(is_fiber[..., None], fibers, od)
    od[holes] *= float(rng.uniform(0.0, 0.25))

    if (layers.fat > 0).any():
        draw_fat(od, layers, color["collagen"], mpp, rng)
    if adipose is not None:
        od = np.where(layers.lobule[..., None] & ~is_fiber[..., None], adipose, od)
    if "nuclei" in color:
        depth = np.clip(rng.normal(1.0, 0.25, int(nuclei_labels.max()) + 1), 0.4, 1.6)
        if pyknotic is not None:
            depth[pyknotic[: len(depth)]] += 0.4
        depth[0] = 0
        cover = (depth[nuclei_labels] * np.clip(1 + 0.25 * fine, 0.5, 1.5))[..., None]
        covered = np.minimum(cover, 1)
        od = od * (1 - 0.85 * covered) + cover.astype(np.float32) * color["nuclei"]
    od[glass] = 0
    return np.asarray(np.clip(od, 0, None) * imaging.stain_strength, dtype=np.float32)


def _draw_spindles(
    od: Float32,
    geometry: Geometry,
    layers: Layers,
    fiber_color: Float32,
    capsule_color: Float32,
    fine: Float32,
    mpp: float,
) -> None:
    """Draw capsules, the clear space inside and intrafusal fibers into an optical density."""
    _fill(od, layers.spindle, capsule_color, 0.25 * fine)
    for outlines, color in (
        ([s.lumen for s in geometry.spindles], 0.25 * capsule_color),
        ([f for s in geometry.spindles for f in s.fibers], fiber_color),
    ):
        where = np.zeros(layers.spindle.shape, dtype=bool)
        for outline in outlines:
            fill_polygon(where, outline, mpp, True)
        _fill(od, where & layers.spindle, color, 0.1 * fine)


def _density_nearby(
    fiber_od: Float32, labels: NDArray[np.int32], mean_fiber: Float32, mpp: float
) -> Float32:
    """Mean optical density of the fibers around each pixel: what veils a thin septum, (H, W, 3).

    A thick section or a soft focus mixes a septum with the fibers beside it, not with dark fibers
    far away, so that it stays the paler line between two pale fibers.
    """
    import cv2

    reach = 3 / mpp
    fibers = cv2.GaussianBlur(fiber_od[labels], (0, 0), reach)
    cover = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), reach)[..., None]
    return np.asarray((fibers + 0.01 * mean_fiber) / (cover + 0.01), dtype=np.float32)


def _fill(od: Float32, where: NDArray[np.bool_], color: Float32, noise: Float32) -> None:
    od[where] = color * np.clip(1 + noise[where], 0.2, 2)[:, None]


def _mitochondria(labels: NDArray[np.int32], inside: Float32, rng: np.random.Generator) -> Float32:
    """Change of an oxidative stain by where mitochondria lie: rims of them, cores without.

    Parameters
    ----------
    labels
        (H, W) fibers.
    inside
        (H, W) distance to the fiber border, µm.
    """
    from scipy.ndimage import maximum

    count = int(labels.max())
    numbers = np.arange(count + 1)
    rim = float(rng.choice([0.0, rng.uniform(0.1, 0.9)])) * rng.uniform(0.3, 1.0, count + 1)
    change = rim[labels] * np.exp(-inside / float(rng.uniform(1.0, 4.0)))
    pale = rng.random(count + 1) < float(rng.choice([0.0, 0.03, 0.25]))
    if pale[1:].any():
        deepest = np.maximum(maximum(inside, labels, numbers), 1e-3)
        reach = rng.uniform(0.3, 0.8, count + 1)
        loss = np.where(pale, rng.uniform(0.2, 0.8, count + 1), 0.0)
        middle = np.clip((inside / deepest[labels] - reach[labels]) * 4, 0, 1)
        change = change - loss[labels] * middle
    return np.asarray(change, dtype=np.float32)


def _texture_strength(stain: str, rng: np.random.Generator) -> float:
    if stain in OXIDATIVE:
        return float(rng.uniform(0.15, 0.6))
    if stain.startswith("atpase"):
        return float(rng.uniform(0.04, 0.18))
    return float(rng.uniform(0.03, 0.15))


def _fiber_densities(
    geometry: Geometry,
    palette: dict[str, Any],
    color: dict[str, Float32],
    stain: str,
    imaging: ImagingParams,
    rng: np.random.Generator,
) -> Float32:
    """Optical density per label, (n + 1, 3)."""
    by_type = {k: _density(v) for k, v in palette["fibers"].items()}
    shift = np.clip(1 + imaging.hue_jitter * rng.standard_normal(3), 0.6, 1.5).astype(np.float32)
    if stain in OXIDATIVE:
        # how much of the stain fast fibers take differs from laboratory to laboratory
        by_type["IIX"] = by_type["IIX"] * np.float32(rng.uniform(0.65, 1.1))
        by_type["IIA"] = by_type["IIA"] * np.float32(rng.uniform(0.8, 1.1))
    table = np.zeros((len(geometry.fibers) + 1, 3), dtype=np.float32)
    for i, fiber in enumerate(geometry.fibers, start=1):
        base = _of_type(fiber.type, by_type, rng) * shift
        if fiber.condition == "regenerating":
            base = 0.5 * base + 0.5 * color["basophilic"]
        elif fiber.condition in ("necrotic", "phagocytosed"):
            base = base * float(rng.uniform(0.35, 1.0)) + 0.15 * color["basophilic"]
        elif fiber.condition == "hypercontracted":
            base = base * float(rng.uniform(1.15, 1.6))
        elif fiber.atrophic and fiber.angular and stain in ("nadh", "sdh"):
            base = by_type["I"] * shift * 1.15
        elif fiber.atrophic and stain == "he" and rng.random() < 0.3:
            base = 0.75 * base + 0.25 * color["basophilic"]
        gain = np.exp(imaging.fiber_variation * rng.standard_normal())
        tilt = 1 + 0.15 * imaging.fiber_variation * rng.standard_normal(3)
        table[i] = base * gain * tilt
    return table


def _of_type(name: str, by_type: dict[str, Float32], rng: np.random.Generator) -> Float32:
    """Optical density of a type; a hybrid lies between its two."""
    if name in by_type:
        return by_type[name]
    first, second = (by_type[part] for part in name.split("/"))
    weight = np.float32(rng.uniform(*HYBRID_WEIGHT))
    return weight * first + (1 - weight) * second


def _condition_texture(
    geometry: Geometry,
    labels: NDArray[np.int32],
    fine: Float32,
    grain: Float32,
    stain: str,
    mpp: float,
    rng: np.random.Generator,
) -> Float32:
    """Extra texture of necrotic, vacuolated, whorled and unevenly stained fibers, as a factor."""
    uneven = np.zeros(len(geometry.fibers) + 1, dtype=np.float32)
    empty = np.zeros(len(geometry.fibers) + 1, dtype=np.float32)
    whorled = []
    for i, fiber in enumerate(geometry.fibers, start=1):
        if fiber.condition in ("necrotic", "phagocytosed"):
            uneven[i] = rng.uniform(0.2, 0.6)
        elif fiber.condition == "vacuolated":
            empty[i] = rng.uniform(0.5, 1.0)
        elif fiber.condition == "whorled":
            whorled.append(i)
        elif rng.random() < 0.05:
            uneven[i] = rng.uniform(0.1, 0.3)
    factor = 1 + uneven[labels] * (0.6 * grain + 0.5 * fine)
    for i in whorled:
        _wind(factor, labels, i, geometry.fibers[i - 1].outline / mpp, stain, mpp, rng)
    vacuole = grain > 1.3
    return np.where(vacuole, 1 - 0.9 * empty[labels], factor).astype(np.float32)


def _wind(
    factor: Float32,
    labels: NDArray[np.int32],
    label: int,
    outline_px: NDArray[np.float64],
    stain: str,
    mpp: float,
    rng: np.random.Generator,
) -> None:
    """Give one fiber the texture of a whorl, strongest where mitochondria are stained."""
    top, left = np.maximum(outline_px.min(0).astype(int), 0)
    bottom, right = np.maximum(np.ceil(outline_px.max(0)).astype(int), 0)
    inside = labels[top:bottom, left:right] == label
    if not inside.any():
        return
    radius = np.hypot(*(outline_px - outline_px.mean(0)).T).mean()
    middle = outline_px.mean(0) - (top, left) + rng.normal(0, 0.12 * radius, 2)
    rings = whorl(rng, inside.shape, middle, mpp)
    low, high = (0.5, 0.7) if stain in OXIDATIVE else (0.15, 0.3)
    factor[top:bottom, left:right][inside] *= (1 + float(rng.uniform(low, high)) * rings)[inside]


def draw_fat(
    od: Float32, layers: Layers, rim_color: Float32, mpp: float, rng: np.random.Generator
) -> None:
    """Draw fat cells, clear with a thin rim, into a picture (H, W, channels)."""
    import cv2

    fat = layers.fat
    depth = cv2.distanceTransform(parted(fat), cv2.DIST_L2, 3) * mpp
    rim = np.exp(-((depth / float(rng.uniform(0.6, 1.4))) ** 2))[..., None]
    od[fat > 0] = (rim * rim_color * float(rng.uniform(0.8, 1.8)))[fat > 0]
