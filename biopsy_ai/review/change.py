"""What a correction did, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from biopsy_ai.review.patch import Box

NAMED = 5
"""How many fibers are named one by one."""


@dataclass(frozen=True)
class Change:
    """What a correction did to a section.

    Attributes
    ----------
    operation
        One of `biopsy_ai.review.entry.OPERATIONS`, ``undo`` or ``redo``.
    removed
        Labels that are gone.
    changed
        Labels whose outline or columns changed, new ones included.
    box
        Of the pixels that changed, y0, x0, y1, x1 in the label image, half-open; None where only
        columns did.
    text
        What was done, for the status line.
    """

    operation: str
    removed: tuple[int, ...]
    changed: tuple[int, ...]
    box: Box | None
    text: str


def name_fibers(labels: Sequence[int]) -> str:
    """Name fibers in a sentence.

    Examples
    --------
    >>> name_fibers([7]), name_fibers([3, 5, 9]), name_fibers(range(1, 41))
    ('fiber 7', 'fibers 3, 5 and 9', '40 fibers')
    """
    named = [str(label) for label in labels]
    if len(named) == 1:
        return f"fiber {named[0]}"
    if len(named) > NAMED:
        return f"{len(named)} fibers"
    return f"fibers {', '.join(named[:-1])} and {named[-1]}"
