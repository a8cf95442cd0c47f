"""Label images with known fibers, the maps that a perfect network would give for them, and a
network that reads the maps from the picture itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.thresholds import InstanceThresholds, NucleusThresholds
from biopsy_ai.segmentation.tiles import Margins
from biopsy_ai.tissue_classes import TISSUE_CLASSES

Maps = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def draw_ellipses(shape: tuple[int, int], seed: int, pitch: int = 90) -> NDArray[np.int32]:
    """Ellipses of many sizes on a jittered raster, never touching, some cut by the border."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    number = 0
    for y in range(0, shape[0] + pitch, pitch):
        for x in range(0, shape[1] + pitch, pitch):
            center = (x + rng.integers(-8, 9), y + rng.integers(-8, 9))
            axes = (rng.integers(10, pitch // 2 - 10), rng.integers(10, pitch // 2 - 10))
            number += 1
            cv2.ellipse(labels, center, axes, rng.integers(180), 0, 360, number, -1)
    return relabel(labels)


def draw_polygons(shape: tuple[int, int], seed: int, spacing: int = 80) -> NDArray[np.int32]:
    """Polygons that fill the field and touch without a gap."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : shape[0] : spacing, 0 : shape[1] : spacing]
    points = np.stack([rows.ravel(), columns.ravel()], 1) + rng.uniform(
        0.15 * spacing, 0.85 * spacing, (rows.size, 2)
    )
    places = np.indices(shape).reshape(2, -1).T
    return cKDTree(points).query(places)[1].reshape(shape).astype(np.int32) + 1


def relabel(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number 1..n without gaps."""
    _, ranks = np.unique(labels, return_inverse=True)
    return ranks.reshape(labels.shape).astype(np.int32)


def perfect_maps(labels: NDArray[np.int32], border_px: float = 3.0) -> Maps:
    """Foreground, border and distance as the network is trained to give them at 0.5 µm."""
    nearest = np.full(labels.shape, 1e6, np.float32)
    second = nearest.copy()
    distance = np.zeros(labels.shape, np.float32)
    reach = int(border_px) + 2
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = np.s_[
            max(rows.start - reach, 0) : rows.stop + reach,
            max(columns.start - reach, 0) : columns.stop + reach,
        ]
        mask = (labels[box] == label).astype(np.uint8)
        inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        distance[box] += inside / max(float(inside.max()), 1)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
        second[box] = np.minimum(second[box], np.maximum(nearest[box], outside))
        nearest[box] = np.minimum(nearest[box], outside)
    border = (second <= border_px).astype(np.float32)
    return (labels > 0).astype(np.float32), border, distance


def draw_nuclei(shape: tuple[int, int], seed: int = 0, pitch: int = 24) -> NDArray[np.int32]:
    """Ellipses apart from each other; each is one label."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for y in range(pitch // 2, shape[0], pitch):
        for x in range(pitch // 2, shape[1], pitch):
            center = (x + int(rng.integers(-2, 3)), y + int(rng.integers(-2, 3)))
            axes = (int(rng.integers(3, 9)), int(rng.integers(3, 6)))
            angle = int(rng.integers(180))
            cv2.ellipse(labels, center, axes, angle, 0, 360, int(labels.max()) + 1, -1)
    return labels


def nucleus_maps(labels: NDArray[np.int32]) -> FiberMaps:
    """Maps that a perfect network gives."""
    distance = np.zeros(labels.shape, np.float32)
    for label in range(1, int(labels.max()) + 1):
        mask = labels == label
        depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        distance += depth / max(float(depth.max()), 1)
    nothing = np.zeros(labels.shape)
    return fiber_maps(nothing, nothing, nothing, nuclei=((labels > 0).astype(float), distance))


def best_iou(truth: NDArray[np.int32], found: NDArray[np.int32]) -> NDArray[np.float64]:
    """IoU of each true fiber with the found fiber that covers most of it."""
    result = []
    areas = np.bincount(found.ravel())
    for label, box in enumerate(ndimage.find_objects(truth), start=1):
        mask = truth[box] == label
        counts = np.bincount(found[box][mask])
        match = int(counts.argmax())
        union = np.count_nonzero(mask) + areas[match] - counts[match]
        result.append(counts[match] / union if match else 0.0)
    return np.array(result)


class MapSlide:
    """A slide whose three colors are the three maps."""

    def __init__(self, maps: Maps) -> None:
        self.pixels = np.stack(maps, axis=2).astype(np.float32)
        self.shape = self.pixels.shape[:2]
        self.path = Path("maps.tif")
        self.mpp = (0.5, 0.5)
        self.is_rgb = True
        self.dtype = np.dtype(np.float32)
        self.n_channels = 3
        self.channel_names = ("red", "green", "blue")
        self.channels: dict[str, int] = {}
        self.reads: list[tuple[int, int, int, int]] = []

    def grid_shape(self, mpp: float) -> tuple[int, int]:
        return self._seen(mpp).shape[:2]

    def _seen(self, mpp: float) -> NDArray[np.float32]:
        step = max(round(mpp / self.mpp[0]), 1)
        return self.pixels[::step, ::step]

    def thumbnail(self, mpp: float) -> tuple[NDArray[np.float32], float]:
        return np.ones((10, 10, 3), np.float32), mpp

    def read(
        self, y: int, x: int, height: int, width: int, mpp: float, *, channels: Any = None
    ) -> NDArray[np.float32]:
        self.reads.append((y, x, height, width))
        out = np.zeros((height, width, 3), np.float32)
        y0, x0 = max(y, 0), max(x, 0)
        part = self._seen(mpp)[y0 : max(y + height, 0), x0 : max(x + width, 0)]
        out[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]] = part
        return out if channels is None else out[..., channels]


class MapModel:
    """A model whose network gives back the picture as logits.

    With `heads` the first and the third map are nuclei as well, and the class is 1 inside fibers.
    """

    name = "maps"
    weights_sha256 = "0" * 64
    working_mpp = 0.5
    nucleus_thresholds = NucleusThresholds()
    spec: dict[str, Any] = {"version": "1"}
    warning = ""
    activation_ranges: dict[str, float] = {}

    def __init__(self, *, heads: bool = False) -> None:
        self.draws_nuclei = self.draws_tissue = heads

    def thresholds_for(self, name: str) -> InstanceThresholds:
        foreground = {"enzyme_thresholds": 0.45, "fluorescence_thresholds": 0.4}
        # its nuclei lie where its fibers do
        return InstanceThresholds(foreground=foreground.get(name, 0.5), max_nucleus=1.0)

    def prepared(self, device: Any) -> Any:
        return self.network(device)

    def network(self, device: Any) -> Any:
        import torch

        from biopsy_ai.segmentation.network import Logits, cut

        heads = self.draws_nuclei

        class Echo(torch.nn.Module):
            def forward(self, picture: torch.Tensor, context: Margins) -> Logits:
                assert picture.shape[2] % 64 == 0
                assert picture.shape[3] % 64 == 0
                maps = cut(torch.logit(picture.float().clamp(0.01, 0.99)), context)
                if not heads:
                    return Logits(maps)
                fiber = maps[:, :1, ::2, ::2]
                others = torch.full_like(fiber, -20).expand(-1, len(TISSUE_CLASSES) - 2, -1, -1)
                return Logits(maps, maps[:, ::2], torch.cat([-fiber, fiber, others], dim=1))

        return Echo()


def whole_tissue(slide: MapSlide, stain: str = "auto") -> Any:
    """A tissue mask that covers everything, 4 µm per pixel."""
    mask = np.ones([-(-side // 8) for side in slide.shape], bool)
    return SimpleNamespace(mask=mask, mpp=4.0, sought=None)
