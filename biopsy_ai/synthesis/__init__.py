"""Synthetic sections with complete ground truth."""

from biopsy_ai.synthesis.parameters import (
    CHANNELS,
    STAINS,
    ImagingParams,
    SectionParams,
    TissueParams,
    preset,
    preset_names,
    random_artefacts,
    random_imaging,
    random_lesions,
    random_tissue,
    stain_name,
)
from biopsy_ai.synthesis.section import SyntheticSection, synthesize_section

__all__ = [
    "CHANNELS",
    "STAINS",
    "ImagingParams",
    "SectionParams",
    "SyntheticSection",
    "TissueParams",
    "preset",
    "preset_names",
    "random_artefacts",
    "random_imaging",
    "random_lesions",
    "random_tissue",
    "stain_name",
    "synthesize_section",
]
