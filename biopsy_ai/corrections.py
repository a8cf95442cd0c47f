"""What a person decided about the fibers of a section, which wins over what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORRECTED = "corrected"
"""Column of the fiber table that tells what a person decided about each fiber."""

SET_IN_REVIEW = "set in review"
"""Reason of a condition that a person names."""

EXCLUDED_IN_REVIEW = "excluded in review"
"""What the reason of exclusion begins with where a person left the fiber out."""


@dataclass(frozen=True)
class Corrections:
    """What a person decided about fibers, by label of the corrected outlines.

    Attributes
    ----------
    types
        Type of a fiber, a word of `biopsy_ai.formats.type_table.WORDS`.
    conditions
        Condition, one of `biopsy_ai.measure.condition.CONDITIONS`, several of them parted by
        ";", or ``normal``.
    exclusions
        Why a fiber is left out of the statistics; an empty text where a person took a fiber in
        again, whatever was against it.
    outlines
        Fibers whose outline a person drew, split, merged or redrew.
    accepted
        Fibers that a person found right as they are.
    record
        Who changed how much and when: ``n_edits``, ``n_by_operation``, ``reviewers``,
        ``first_utc``, ``last_utc``, ``log_sha256``, ``n_fibers_changed`` and more, ready for
        JSON. Becomes ``summary["review"]``.
    """

    types: Mapping[int, str] = field(default_factory=dict)
    conditions: Mapping[int, str] = field(default_factory=dict)
    exclusions: Mapping[int, str] = field(default_factory=dict)
    outlines: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reviewed(self) -> bool:
        """Whether a person has looked at the section at all."""
        return bool(
            self.record
            or self.types
            or self.conditions
            or self.exclusions
            or self.outlines
            or self.accepted
        )


def corrected_column(labels: NDArray[np.int64], corrections: Corrections) -> NDArray[np.object_]:
    """What a person decided about each fiber, parted by ";"; empty where nothing.

    The parts are ``outline``, ``type``, ``condition``, ``exclusion`` and ``accepted``, in this
    order.
    """
    kinds = {
        "outline": corrections.outlines,
        "type": corrections.types,
        "condition": corrections.conditions,
        "exclusion": corrections.exclusions,
        "accepted": corrections.accepted,
    }
    return np.array(
        [
            ";".join(kind for kind, among in kinds.items() if label in among)
            for label in labels.tolist()
        ],
        dtype=object,
    )
