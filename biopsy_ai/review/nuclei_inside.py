"""Nuclei of fibers whose outline changed, counted again by the rules of the analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, view_on_grid
from biopsy_ai.measure.depth import fill_holes
from biopsy_ai.measure.nuclei import count_nuclei, measure_nuclei

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis

AROUND_UM = 40.0
"""How far around a fiber its nuclei may reach, µm: farther than any nucleus is long."""

COUNTED = ("n_nuclei", "n_internal_nuclei", "is_centrally_nucleated")
"""Columns of the fiber table that the outline and the nuclei decide."""

_Tile = tuple[NDArray[np.int32], NDArray[np.int32]]


class NucleiInside:
    """Counts the nuclei of fibers, which are looked at all together.

    Measuring takes long to begin and little for each nucleus, so the surroundings of all fibers are
    laid side by side in one picture.

    Parameters
    ----------
    saved
        The analysis, whose nuclei stay as they were drawn.

    Attributes
    ----------
    reach_px
        How far around a fiber `add` looks, pixels (y, x) of the fibers.
    """

    def __init__(self, saved: SavedAnalysis) -> None:
        self._nuclei = saved.segmentation.nuclei if saved.nuclei is not None else None
        self._mpp = saved.segmentation.mpp
        self._limits = saved.config.limits_in_force
        self._tiles: list[_Tile] = []
        self._owners: list[int] = []
        self.reach_px = (0, 0)
        if self._nuclei is not None:
            y, x = (int(np.ceil(AROUND_UM / side)) + 1 for side in self._mpp)
            self.reach_px = y, x

    def add(self, labels: LabelArray, ids: NDArray[np.int64], boxes: NDArray[np.int64]) -> None:
        """Take up fibers of a label image, which is read within `reach_px` of their boxes."""
        if self._nuclei is None:
            return
        nuclei, mpp = self._nuclei.labels, self._nuclei.mpp
        height, width = int(nuclei.shape[0]), int(nuclei.shape[1])
        fibers = view_on_grid(labels, self._mpp, (height, width), mpp)
        scale = np.tile(np.divide(self._mpp, mpp), 2)
        reach = np.ceil(np.divide(AROUND_UM, mpp)).astype(np.int64)
        around = boxes * scale + np.concatenate([-reach, reach])
        around = np.clip(around, 0, np.array([height, width, height, width])).astype(np.int64)
        top, left = around[:, :2].min(axis=0).tolist()
        bottom, right = around[:, 2:].max(axis=0).tolist()
        window = slice(top, bottom), slice(left, right)
        near, there = np.asarray(fibers[window]), np.asarray(nuclei[window])
        for label, (y0, x0, y1, x1) in zip(ids.tolist(), around.tolist(), strict=True):
            crop = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
            own = near[crop] == label
            within = np.unique(there[crop][own])
            inside = np.isin(there[crop], within[within > 0])
            if inside.any():
                self._tiles.append(_tile(near[crop], there[crop], inside, own))
                self._owners.append(label)

    def count(self, ids: NDArray[np.int64]) -> pd.DataFrame:
        """Count the nuclei of all fibers, those that were not added having none.

        Returns
        -------
        DataFrame
            ``label`` and `COUNTED`, in the order of `ids`; missing where the section shows no
            nuclei.
        """
        if self._nuclei is None:
            return count_nuclei(None, ids)
        found = [pd.DataFrame({"fiber": np.zeros(0, np.int64), "class": np.zeros(0, object)})]
        order = sorted(range(len(self._tiles)), key=lambda n: self._tiles[n][0].shape[0])
        for start in range(0, len(order), _TILES_AT_ONCE):
            some = order[start : start + _TILES_AT_ONCE]
            table = self._measured([self._tiles[n] for n in some])
            owners = np.array([0, *(self._owners[n] for n in some)], np.int64)
            own = table["fiber"].to_numpy(np.int64)
            # those of other fibers are numbered behind
            own = np.where(own < len(owners), own, 0)
            found.append(table[["class"]].assign(fiber=owners[own])[own > 0])
        return count_nuclei(pd.concat(found, ignore_index=True), ids)

    def _measured(self, tiles: list[_Tile]) -> pd.DataFrame:
        """Measure the nuclei of some tiles, the fiber of the n-th numbered n, from 1."""
        assert self._nuclei is not None
        height = max(tile[0].shape[0] for tile in tiles)
        width = sum(tile[0].shape[1] for tile in tiles)
        fibers, nuclei = np.zeros((2, height, width), np.int32)
        left, n_fibers, n_nuclei = 0, len(tiles), 0
        for number, (near, there) in enumerate(tiles, start=1):
            here = slice(0, near.shape[0]), slice(left, left + near.shape[1])
            fibers[here] = np.where(near > 1, near - 1 + n_fibers, near * number)
            nuclei[here] = np.where(there > 0, there + n_nuclei, 0)
            left += near.shape[1]
            n_fibers += max(int(near.max()) - 1, 0)
            n_nuclei += int(there.max())
        return measure_nuclei(nuclei, fibers, self._nuclei.mpp, limits=self._limits)


_TILES_AT_ONCE = 64


def _tile(
    near: NDArray[np.int32],
    there: NDArray[np.int32],
    inside: NDArray[np.bool_],
    own: NDArray[np.bool_],
) -> _Tile:
    """A fiber, as 1, with its nuclei from 1 on, and other fibers as far as they may claim one."""
    nuclei = np.zeros(there.shape, np.int32)
    nuclei[inside] = np.unique(there[inside], return_inverse=True)[1].reshape(-1) + 1
    # what lies in a hole of a fiber keeps it open
    others = np.unique(near[(inside | fill_holes(own, ~own)) & ~own])
    rival = np.isin(near, others[others > 0]) & ~own
    fibers = own.astype(np.int32)
    fibers[rival] = np.unique(near[rival], return_inverse=True)[1].reshape(-1) + 2
    return fibers, nuclei
