"""Nuclei and fascicles that are drawn, as the analysis would find them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from biopsy_ai.labels import find_boxes
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.fascicles import Fascicles
from biopsy_ai.segmentation.nuclei import Nuclei
from biopsy_ai.segmentation.result import Segmentation

KINDS = ("subsarcolemmal", "interstitial", "central", "subsarcolemmal")
"""Of the nuclei, in turn; the last one is internal."""


def nuclei_of(
    shape: tuple[int, int], n: int = 8, mpp: tuple[float, float] = (0.5, 0.5)
) -> tuple[Nuclei, pd.DataFrame]:
    """Round nuclei in a row, and their table."""
    labels = np.zeros(shape, np.int32)
    y, x = np.indices(shape)
    centers = np.array([(40.0, 30.0 * (i + 1)) for i in range(n)]).reshape(-1, 2)
    for label, center in enumerate(centers, 1):
        labels[np.hypot(y + 0.5 - center[0], x + 0.5 - center[1]) < 6] = label
    ids, boxes = find_boxes(labels)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    nuclei = Nuclei(labels, area, centers, boxes, np.ones(n, np.float32), mpp)
    kinds = [KINDS[i % len(KINDS)] for i in range(n)]
    kinds[-1:] = ["internal"] * bool(n)
    table = pd.DataFrame(
        {
            "label": ids,
            "centroid_y_um": centers[:, 0] * mpp[0],
            "centroid_x_um": centers[:, 1] * mpp[1],
            "area_um2": area * mpp[0] * mpp[1],
            "axis_major_length_um": 6.0,
            "axis_minor_length_um": 6.0,
            "circularity": 1.0,
            "hematoxylin": 0.8,
            "tissue_class": pd.array([1] * n, dtype="Int64"),
            "class": kinds,
        }
    )
    return nuclei, table


def fascicles_of(segmentation: Segmentation, *, whole_section: bool = False) -> Fascicles:
    """Two fascicles side by side, on a grid of 2 µm."""
    height, width = np.multiply(segmentation.labels.shape, segmentation.mpp)
    labels = np.zeros((round(height / 2), round(width / 2)), np.int32)
    if not whole_section:
        middle = labels.shape[1] // 2
        labels[2:-2, 2 : middle - 1] = 1
        labels[2:-2, middle + 1 : -2] = 2
    n = len(segmentation.ids)
    layer = pd.array([pd.NA if i % 4 == 0 else i % 4 for i in range(n)], dtype="Int64")
    fibers = pd.DataFrame({"label": segmentation.ids, "fascicle": 1, "layer": layer})
    table = pd.DataFrame({"fascicle": [1, 2], "complete": [True, False]})
    return Fascicles(labels, (2.0, 2.0), table, fibers, whole_section, "", {})


TYPES = ("I", "I", "IIA", "IIX", "I/IIA", "I", "undetermined", "")
"""Of the fibers, in turn."""


def with_patterns(fibers: pd.DataFrame) -> pd.DataFrame:
    """The table of fibers with types, two groups, small fibers and a cluster of them."""
    n = len(fibers)
    order = np.arange(n)
    group = pd.array([i // 10 + 1 if i < 20 else pd.NA for i in range(n)], dtype="Int64")
    enclosed = pd.array([pd.NA if i % 9 == 8 else i in (4, 14) for i in range(n)], dtype="boolean")
    small = pd.array([pd.NA if i % 5 == 0 else i % 3 == 0 for i in range(n)], dtype="boolean")
    cluster = pd.array([1 if i in (3, 6, 9) else pd.NA for i in range(n)], dtype="Int64")
    return fibers.assign(
        type=[TYPES[i % len(TYPES)] for i in range(n)],
        type_posterior=np.linspace(0.5, 1.0, n),
        group=group,
        is_enclosed=enclosed,
        is_atrophic=small,
        is_angular_atrophic=pd.array((order % 6 == 3) & (order % 5 > 0), dtype="boolean"),
        atrophy_cluster=cluster,
    )


def patterns_of(fibers: pd.DataFrame) -> SimpleNamespace:
    """Contacts of each fiber with the next, and a test of two fascicles."""
    labels = fibers["label"].to_numpy(np.int64)
    first = np.arange(len(labels) - 1)
    length = np.full(len(first), 5.0)
    contacts = Contacts(
        labels=labels,
        pairs=np.stack([first, first + 1], axis=1),
        gap_um=length / 5,
        shared_um=length,
        shared_share=length / 50,
        inner=np.ones(len(labels), bool),
    )
    tested = pd.DataFrame(
        {
            "fascicle": [0, 1, 2],
            "grouped": pd.array([pd.NA, False, True], dtype="boolean"),
            "p_adjusted": [np.nan, 0.4, 0.0123],
        }
    )
    return SimpleNamespace(contacts=contacts, grouping=SimpleNamespace(fascicles=tested))
