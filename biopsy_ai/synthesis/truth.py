"""What is known of a section, so that label images, tables and tissue classes agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.synthesis.cells import KINDS, Nuclei
from biopsy_ai.synthesis.geometry import FiberShape
from biopsy_ai.synthesis.raster import Layers
from biopsy_ai.tissue_classes import TISSUE_CLASSES

LEAST_PX = 4
"""Fibers and nuclei with fewer pixels are left out of the truth. [default]"""

Labels = NDArray[np.int32]


def largest_parts(labels: Labels) -> Labels:
    """Keep the largest 4-connected part of every label, if it has at least `LEAST_PX` pixels."""
    from skimage.measure import label as connected_parts

    parts = connected_parts(labels, connectivity=1, background=0)
    size = np.bincount(parts.ravel())
    owner = np.zeros(len(size), dtype=np.int64)
    owner[parts] = labels
    order = np.lexsort((-size, owner))
    largest = np.zeros(len(size), dtype=bool)
    largest[order] = np.diff(owner[order], prepend=-1) > 0
    largest &= (size >= LEAST_PX) & (owner > 0)
    return np.where(largest[parts], labels, 0).astype(np.int32)


def renumbered(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """Number the labels that have pixels from 1 in their order.

    Returns
    -------
    labels : (H, W) ndarray of int32
        1..n.
    kept : (n,) ndarray of int64
        What the labels were before.
    """
    kept = np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1
    new = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int32)
    new[kept] = np.arange(1, len(kept) + 1)
    return new[labels], kept


def fibers_under(nuclei_labels: Labels, labels: Labels) -> NDArray[np.int64]:
    """The fiber under most pixels of each nucleus, or 0; nuclei are numbered 1..n without gaps."""
    inside = nuclei_labels > 0
    step = int(labels.max(initial=0)) + 1
    pair = nuclei_labels[inside].astype(np.int64) * step + labels[inside]
    pair, count = np.unique(pair, return_counts=True)
    nucleus, fiber = np.divmod(pair, step)
    order = np.lexsort((fiber, -count, nucleus))
    first = np.diff(nucleus[order], prepend=0) > 0
    return fiber[order][first]


def fiber_table(fibers: list[FiberShape]) -> pd.DataFrame:
    """One row per fiber; fiber ``i`` of the list has label ``i + 1``.

    The column ``unit`` is there where the fibers have motor units.
    """
    table = pd.DataFrame(
        [
            (i, f.type, f.condition, f.atrophic, f.angular, f.fascicle)
            for i, f in enumerate(fibers, start=1)
        ],
        columns=["label", "type", "condition", "atrophic", "angular", "fascicle"],
    )
    if any(f.unit for f in fibers):
        table["unit"] = [f.unit for f in fibers]
    return table


def nucleus_table(
    nuclei: Nuclei,
    nuclei_labels: Labels,
    kept_nuclei: NDArray[np.int64],
    labels: Labels,
    kept_fibers: NDArray[np.int64],
) -> pd.DataFrame:
    """One row per nucleus that can be seen, with the fiber that it lies in on the label image.

    Parameters
    ----------
    nuclei
        The nuclei as placed.
    nuclei_labels, labels
        Nuclei and fibers, both renumbered.
    kept_nuclei, kept_fibers
        What their labels were when the nuclei were placed.
    """
    fiber = fibers_under(nuclei_labels, labels)
    kind = nuclei.kind[kept_nuclei - 1]
    under = np.concatenate([[0], kept_fibers])[fiber]
    other = under != nuclei.fiber[kept_nuclei - 1]
    # a nucleus that came to lie elsewhere than meant lies at a border, on one side or the other
    free = ~np.isin(kind, [KINDS.index("inflammatory"), KINDS.index("clumped")])
    kind = np.where(other & free & (fiber > 0), KINDS.index("subsarcolemmal"), kind)
    kind = np.where(other & free & (fiber == 0), KINDS.index("interstitial"), kind)
    return pd.DataFrame(
        {
            "label": np.arange(1, len(kind) + 1),
            "kind": [KINDS[k] for k in kind],
            "fiber": fiber,
        }
    )


def tissue_classes(
    labels: Labels,
    layers: Layers,
    folds: NDArray[np.bool_],
    empty: NDArray[np.bool_],
    ink: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Tissue class of every pixel, as index into `TISSUE_CLASSES`.

    A fold is an artefact, whatever lies in it; so are crushed places, which come with the folds,
    and ink, also on glass. A tear shows glass, and glass counts as nothing: tears are background.
    A spindle is neither muscle nor connective tissue and goes with the nerves.
    """
    index = {name: i for i, name in enumerate(TISSUE_CLASSES)}
    tissue = np.where(layers.fascicle, index["endomysium"], index["perimysium"]).astype(np.uint8)
    tissue[layers.lobule] = index["fat"]
    tissue[layers.vessel_wall | layers.vessel_lumen | layers.nerve] = index["vessel_or_nerve"]
    tissue[layers.fat > 0] = index["fat"]
    tissue[labels > 0] = index["fiber"]
    tissue[layers.spindle] = index["vessel_or_nerve"]
    tissue[folds] = index["artefact"]
    tissue[empty] = index["background"]
    if ink is not None:
        tissue[ink] = index["artefact"]
    return tissue
