"""Which fibers lie at the edge of the tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.labels import LabelArray, read_windows

if TYPE_CHECKING:
    from biopsy_ai.segmentation.result import Segmentation
    from biopsy_ai.slides import TissueMask

NEAR_UM = 10.0
"""A piece of outline this close to glass faces it. [default]"""

FACING_SHARE = 0.15
"""Share of the outline that must face glass for a fiber to lie at the tissue edge. [default]"""

GLASS_MIN_UM2 = 40_000.0
"""Smaller empty places are cracks and vessels inside the section, µm² (200 µm square). [default]"""


@dataclass(frozen=True)
class TissueEdge:
    """Distance from every place in the section to empty glass.

    Attributes
    ----------
    distance_um
        (h, w) float32, 0 on glass.
    mpp
        Pixel size of that array, µm.
    """

    distance_um: NDArray[np.float32]
    mpp: float

    @classmethod
    def from_mask(cls, tissue: ArrayLike, mpp: float, margin_um: float = 0.0) -> TissueEdge:
        """Measure the distances.

        Parameters
        ----------
        tissue
            (h, w) bool, True where there is tissue. What lies beyond the image is unknown and
            does not count as glass.
        mpp
            Its pixel size, µm.
        margin_um
            How far the mask reaches beyond the tissue, µm.
        """
        import cv2

        glass = np.logical_not(np.asarray(tissue, bool)).view(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(glass, connectivity=4)
        open_glass = stats[:, cv2.CC_STAT_AREA] * mpp**2 >= GLASS_MIN_UM2
        open_glass[0] = False
        inside = np.logical_not(open_glass[parts]).view(np.uint8)
        if not open_glass.any():
            return cls(np.full(glass.shape, np.inf, np.float32), mpp)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # From the center of a pixel to the edge of the glass, not to the center of its first pixel.
        from_edge = (distance - 0.5) * mpp - margin_um
        return cls(np.maximum(from_edge, 0).astype(np.float32), mpp)

    def is_faced_by(
        self, contour: NDArray[np.int64] | NDArray[np.int32], mpp: float | tuple[float, float]
    ) -> bool:
        """Whether a good part of an outline lies within `NEAR_UM` of glass.

        Parameters
        ----------
        contour
            (k, 2) boundary pixels, row and column, of the section.
        mpp
            Pixel size of the contour, one number or (y, x), µm.
        """
        scale = np.divide(mpp, self.mpp)
        at = np.minimum(((contour + 0.5) * scale).astype(np.intp), self._last)
        near = self.distance_um[at[:, 0], at[:, 1]] <= NEAR_UM + self.mpp
        return bool(near.mean() >= FACING_SHARE)

    def find_facing(
        self,
        labels: LabelArray,
        mpp: tuple[float, float],
        ids: NDArray[np.int64],
        boxes: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Tell which fibers of a label image face glass by their largest part.

        Parameters
        ----------
        labels
            (H, W) label image from the same top-left corner, read in pieces.
        mpp
            Its pixel size (y, x), µm.
        ids, boxes
            (n,) labels, and (n, 4) box of each, y0, x0, y1, x1, half-open.

        Returns
        -------
        (n,) bool
        """
        import cv2

        facing = np.zeros(len(ids), bool)
        if not np.isfinite(self.distance_um).any():
            return facing
        for piece, (top, left), members in read_windows(labels, boxes):
            for row in members.tolist():
                y0, x0, y1, x1 = boxes[row].tolist()
                part = piece[y0 - top : y1 - top, x0 - left : x1 - left]
                mask = np.equal(part, ids[row]).view(np.uint8)
                contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                longest = max(contours, key=len)[:, 0, ::-1] + np.array((y0, x0))
                facing[row] = self.is_faced_by(longest, mpp)
        return facing

    @property
    def _last(self) -> NDArray[np.intp]:
        return np.array(self.distance_um.shape, np.intp) - 1


def facing_glass(segmentation: Segmentation, tissue: TissueMask) -> Segmentation:
    """Tell which outlines of the user face empty glass.

    Parameters
    ----------
    segmentation
        Outlines of which that is not known.
    tissue
        Where the slide holds tissue.
    """
    from biopsy_ai.slides.tissue import MARGIN_UM

    edge = TissueEdge.from_mask(tissue.mask, tissue.mpp, MARGIN_UM)
    facing = edge.find_facing(
        segmentation.labels, segmentation.mpp, segmentation.ids, segmentation.boxes
    )
    return replace(segmentation, touches_tissue_edge=facing)
