"""The fibers of a section as they are stained, and which of them levels are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.angularity import size_center
from biopsy_ai.measure.exclusion import BETWEEN_REASONS, is_excluded
from biopsy_ai.measure.fibers import CUT
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.stain_levels import StainLevels, find_levels
from biopsy_ai.patterns.stain_polarity import stain_entry
from biopsy_ai.patterns.type_mixture import Floats
from biopsy_ai.patterns.type_naming import Probabilities, name_types


@dataclass(frozen=True, eq=False)
class StainedSection:
    """What is known of the fibers of a section before they are typed.

    Attributes
    ----------
    table
        The fiber table.
    values
        Stain of each fiber, one column per plane that was measured.
    stain
        Its name.
    places
        (n, 2) centroids (y, x), µm.
    fitted
        (n,) fibers that levels are fitted to.
    left_out
        (n,) small fibers that this stain does not tell.
    limits
        As everywhere.
    """

    table: pd.DataFrame
    values: pd.DataFrame
    stain: str
    places: Floats
    fitted: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    limits: Limits

    @classmethod
    def of(
        cls, values: pd.DataFrame, table: pd.DataFrame, stain: str, limits: Limits
    ) -> StainedSection:
        """Tell which fibers are fitted, and which this stain does not tell."""
        entry = stain_entry(stain)
        out = np.zeros(len(table), bool)
        if entry.get("atrophic", True) is False and "min_feret_um" in table:
            size = table["min_feret_um"].to_numpy(float)
            center = size_center(size[~is_excluded(table)], limits)
            if center is not None:
                out = size < center.at(limits["small_z"])
        places = table[["centroid_y_um", "centroid_x_um"]].to_numpy(float)
        return cls(table, values, stain, places, _may_be_fitted(table) & ~out, out, limits)

    def levels(
        self, column: str, most: int, rng: np.random.Generator, *, logs: bool
    ) -> tuple[StainLevels, Floats]:
        """Fit the levels of one column; and its values on the scale of the fit."""
        values = self.values[column].to_numpy(float)
        if logs:
            top = float(np.nanpercentile(values, 99)) if np.isfinite(values).any() else 1.0
            # light falls and stains vary by a factor; a black channel has no logarithm
            values = np.log(np.maximum(values, max(0.01 * top, 1e-6)))
        use = self.fitted & np.isfinite(values)
        found = find_levels(values[use], self.places[use], most=most, rng=rng, limits=self.limits)
        return found, values

    def named(self, probabilities: Probabilities, type_i: Floats) -> pd.DataFrame:
        """Name the types, see `biopsy_ai.patterns.type_naming.name_types`."""
        labels = self.table["label"].to_numpy()
        return name_types(labels, probabilities, type_i, self.left_out, self.limits)


def _may_be_fitted(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Fibers that nothing speaks against but the border of the image."""
    reasons = table["excluded"].fillna("").astype(str).str.split(BETWEEN_REASONS, regex=False)
    return np.array([set(of_fiber) <= {"", *CUT} for of_fiber in reasons], dtype=bool)
