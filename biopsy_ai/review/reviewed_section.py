"""What of a review becomes training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.corrections import Corrections
from biopsy_ai.labels import LabelArray

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis


@dataclass(frozen=True, eq=False)
class ReviewedSection:
    """What of a review becomes training data.

    Attributes
    ----------
    saved
        The analysis.
    labels, ids, boxes
        Corrected label image, its fibers, and the box of each.
    corrections
        What a person decided.
    """

    saved: SavedAnalysis
    labels: LabelArray
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]
    corrections: Corrections

    def seen(self) -> NDArray[np.bool_]:
        """(n,) fibers whose outline a person saw and let stand, or drew.

        Who leaves a fiber out of the statistics does not say that its outline is right.
        """
        decided = self.corrections
        taken_in = [label for label, reason in decided.exclusions.items() if not reason]
        looked_at = {*decided.outlines, *decided.accepted, *decided.types, *decided.conditions}
        return np.isin(self.ids, [*looked_at, *taken_in])
