"""The sample slides that ship with biopsy-ai. ``python -m biopsy_ai.synthesis.samples FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from biopsy_ai.checksum import file_sha256
from biopsy_ai.synthesis.files import write_section
from biopsy_ai.synthesis.parameters import SectionParams, preset, random_imaging
from biopsy_ai.synthesis.section import synthesize_section

SAMPLES = {
    "normal_he": ("normal", "he", 11),
    "normal_atpase": ("normal", "atpase:9.4", 12),
    "acute_denervation_he": ("acute_denervation", "he", 13),
    "chronic_reinnervation_atpase": ("chronic_reinnervation", "atpase:9.4", 14),
    "dystrophy_he": ("dystrophy", "he", 15),
    "type2_atrophy_atpase": ("type2_atrophy", "atpase:9.4", 16),
}
"""Preset, stain and seed of each sample slide."""

FIELD_UM = (1000.0, 1000.0)


def write_samples(folder: str | Path) -> list[Path]:
    """Make all sample slides; the same version gives the same pixels (files carry new ids)."""
    paths = []
    for name, (condition, stain, seed) in SAMPLES.items():
        imaging = random_imaging(np.random.default_rng(seed), stain, severity=0.25)
        params = SectionParams(preset(condition), imaging, stain, FIELD_UM, mpp=0.5)
        paths.append(write_section(synthesize_section(params, seed), folder, name))
    sums = [f"{file_sha256(p)}  {p.name}" for p in paths]
    (Path(folder) / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    return paths


if __name__ == "__main__":
    write_samples(sys.argv[1] if len(sys.argv) > 1 else "data/sample_slides")
