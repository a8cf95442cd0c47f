"""Square fascicles of healthy fibers in a hexagonal lattice: a table and a contact graph."""

from __future__ import annotations

import numpy as np
import pandas as pd
from drawn_mosaics import contacts_of, hexagons, square_fascicles

from biopsy_ai.patterns.contacts import Contacts

NORMAL_UM = 58.0
SMALL_UM = 25.0


def draw_fascicles(
    per_side: int = 3, *, spread: float = 0.12, seed: int = 0
) -> tuple[pd.DataFrame, Contacts]:
    """A section of about a hundred fibers in each fascicle, without contacts between these."""
    side = 10.0
    centers, pairs = hexagons(round(per_side * side * 2 / np.sqrt(3)), round(per_side * side))
    fascicle, layer = square_fascicles(centers, side)
    pairs = pairs[fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]]
    n = len(centers)
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "min_feret_um": NORMAL_UM * rng.lognormal(0, spread, n),
            "circularity": 0.84,
            "min_angle_deg": 100.0,
            "n_acute_angles": 0.0,
            "solidity": 0.97,
            "feret_aspect_ratio": 1.3,
            "shape_assessable": True,
            "touches_border": False,
            "excluded": "",
            "condition": "normal",
            "fascicle": pd.array(fascicle, dtype="Int64"),
            "layer": pd.array(layer, dtype="Int64"),
            "centroid_y_um": 60.0 * centers[:, 0],
            "centroid_x_um": 60.0 * centers[:, 1],
        }
    )
    return table, contacts_of(pairs, np.ones(n, bool))
