"""Size and shape of each fiber, and the statistics of a section."""

from biopsy_ai.measure.fibers import COLUMNS, SHAPE_COLUMNS, SIZE_COLUMNS, measure_fibers
from biopsy_ai.measure.reference import Reference, all_references, reference
from biopsy_ai.measure.summary import summarize_fibers

__all__ = [
    "COLUMNS",
    "SHAPE_COLUMNS",
    "SIZE_COLUMNS",
    "Reference",
    "all_references",
    "measure_fibers",
    "reference",
    "summarize_fibers",
]
