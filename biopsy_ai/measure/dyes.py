"""The dyes of a bright-field section, estimated once for the whole slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.collagen import COLLAGEN_DYES, fit_collagen_dyes
from biopsy_ai.measure.reference import stain_vector
from biopsy_ai.slides.intensity import sample_pixels
from biopsy_ai.slides.stain_colors import white_of
from biopsy_ai.slides.stain_separation import StainSeparation, fit_stain_separation

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide, TissueMask

HE_DYES = ("hematoxylin", "eosin")


@dataclass(frozen=True, eq=False)
class SectionDyes:
    """What the colors of a section are made of.

    Attributes
    ----------
    white
        (3,) intensity of empty glass.
    separation
        The two dyes; None where the stain has none that can be told apart.
    """

    white: NDArray[np.float32]
    separation: StainSeparation | None

    def of(self, *names: str) -> StainSeparation | None:
        """Give the dyes if they are those of these names."""
        there = self.separation is not None and set(names) <= set(self.separation.names)
        return self.separation if there else None


def fit_dyes(slide: Slide, tissue: TissueMask | None, stain: str) -> SectionDyes:
    """Estimate the color of glass and, where the stain has two, of the dyes of a slide.

    Parameters
    ----------
    slide
        A bright-field slide with three channels.
    tissue
        Where it holds tissue.
    stain
        As given or recognised; only H&E, trichrome and picrosirius red are taken apart.
    """
    white = white_of(slide)
    if stain == "he":
        start = np.stack([stain_vector(name) for name in HE_DYES])
        pixels = sample_pixels(slide, tissue)
        return SectionDyes(white, fit_stain_separation(pixels, HE_DYES, start, white))
    if stain in COLLAGEN_DYES:
        return SectionDyes(white, fit_collagen_dyes(sample_pixels(slide, tissue), stain, white))
    return SectionDyes(white, None)
