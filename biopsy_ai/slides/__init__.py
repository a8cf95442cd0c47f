"""Opening slides, reading any region at any scale, and telling tissue from glass."""

from biopsy_ai.slides.formats import SUPPORTED_SUFFIXES, find_slides
from biopsy_ai.slides.intensity import intensity_range
from biopsy_ai.slides.slide import Slide, open_slide
from biopsy_ai.slides.tissue import TissueMask, tissue_mask

__all__ = [
    "SUPPORTED_SUFFIXES",
    "Slide",
    "TissueMask",
    "find_slides",
    "intensity_range",
    "open_slide",
    "tissue_mask",
]
