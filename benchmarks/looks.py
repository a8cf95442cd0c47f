"""Looks of stains and scanners that no model was trained on, put on pictures in H&E."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.imaging import as_jpeg

_MIX = np.array([[0.3, 0.1, 0.6], [0.5, 0.2, 0.3], [0.1, 0.6, 0.3]], np.float32)


def silver(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pale fibers in a net of dark brown lines, as after impregnation with silver."""
    import cv2

    gray = picture.mean(axis=2)
    low, high = np.percentile(gray, (1, 99))
    light = (1 - np.clip((gray - low) / (high - low), 0, 1)) ** 0.7
    colored = np.stack([70 + 170 * light, 45 + 180 * light, 30 + 170 * light], axis=-1)
    soft = cv2.GaussianBlur(colored.astype(np.float32), (0, 0), 0.8)
    return _eight_bit(soft + rng.normal(0, 5, soft.shape))


def scanner(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colors exchanged and faded, out of focus, noisy and packed hard: an ill-set scanner."""
    import cv2

    mixed = cv2.GaussianBlur(picture.astype(np.float32) @ _MIX.T, (0, 0), 2.4)
    toned = 255 * (mixed / 255) ** 1.6 * np.array([0.75, 0.95, 0.8])
    mean = toned.mean(axis=(0, 1))
    faded = mean + 0.45 * (toned - mean) + rng.normal(0, 7, toned.shape)
    return as_jpeg(_eight_bit(faded), 40)


def faded(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bleached to a dull yellow, blotchy and covered with fine scratches: a slide of old age."""
    import cv2

    height, width = picture.shape[:2]
    light = picture.astype(np.float32).mean(axis=2) / 255
    light = 0.72 + 0.2 * (light - light.mean()) / light.std() * 0.35
    blotches = cv2.resize(
        rng.normal(1, 0.16, (height // 90 + 2, width // 90 + 2)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    light = cv2.GaussianBlur(light, (0, 0), 1.2) * blotches
    for _ in range(height * width // 6000):
        x, y, dx, dy = rng.uniform((0, 0, -40, -40), (width, height, 40, 40))
        ends = (int(x), int(y)), (int(x + dx), int(y + dy))
        cv2.line(light, *ends, float(rng.uniform(0.6, 1.0)), 1)
    light += rng.normal(0, 0.012, light.shape)
    return _eight_bit(255 * light[..., None] * np.array([1.02, 0.92, 0.62]))


LOOKS: dict[str, Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]] = {
    "silver": silver,
    "scanner": scanner,
    "faded": faded,
}
"""By name. Steps and rates of retraining were chosen on the first two, and nothing on the third."""


def _eight_bit(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
