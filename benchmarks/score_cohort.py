"""Biopsies with a known disease, for judging the scores: what is drawn, before it is drawn.

Nothing here is read by ``biopsy_ai.score``, and nothing here reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from score_tissue import HEALTHY, MUSCLES, draw_tissue

from biopsy_ai.synthesis import ImagingParams, TissueParams, random_imaging

DISEASES = (
    "normal",
    "ageing",
    "active_denervation",
    "chronic_reinnervation",
    "dystrophy",
    "inflammatory",
    "type2_atrophy",
    "mixed",
)
DENERVATION = ("active_denervation", "chronic_reinnervation", "mixed")
MYOPATHY = ("dystrophy", "inflammatory", "mixed")

USE_CASES = ("he", "atpase", "both")

BANDS = {"minimal": 0.2, "mild": 0.4, "moderate": 0.7, "severe": 1.01}
"""Severity below which a change is called so; up to 0.2 a pathologist would hardly see it."""

MPP = 0.5
N_FIBERS = (300.0, 450.0)
"""Fibers wanted in the field; a quarter of them are cut by its border."""
SMALL_SHARE, N_SMALL = 0.08, (50.0, 200.0)
"""Share of small biopsies, as by needle, and how many fibers they have."""
SIDE_UM = (350.0, 1500.0)


@dataclass(frozen=True)
class Biopsy:
    """What one biopsy is, and how it is cut, stained and scanned.

    Attributes
    ----------
    number, seed
        Place in the cohort, and what decides all that is drawn.
    disease, severity
        One of `DISEASES`; 0 is normal, 1 end stage. Of a normal biopsy 0, of an ageing one how far
        age has changed it.
    use_case
        One of `USE_CASES`: which stains there are.
    stains, imaging
        Of each section, one or two.
    """

    number: int
    seed: int
    disease: str
    severity: float
    use_case: str
    sex: str
    age: int
    muscle: str
    stains: tuple[str, ...]
    tissue: TissueParams
    imaging: tuple[ImagingParams, ...]
    size_um: float

    @property
    def band(self) -> str:
        """How strong the change is, in words; ``none`` where there is no disease."""
        if self.disease in HEALTHY:
            return "none"
        return next(name for name, upto in BANDS.items() if self.severity < upto)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.number:04d}_{self.disease}"


def draw_biopsy(number: int, first_seed: int) -> Biopsy:
    """Draw a biopsy; diseases and use cases take turns, all else is chance."""
    seed = first_seed + number
    rng = np.random.default_rng(seed)
    disease = DISEASES[number % len(DISEASES)]
    use_case = USE_CASES[number // len(DISEASES) % len(USE_CASES)]
    severity = 0.0 if disease == "normal" else float(rng.uniform(0.03, 1.0))
    sex = str(rng.choice(["male", "female"]))
    ages = {"normal": (20, 70), "ageing": (71, 90)}.get(disease, (18, 86))
    age = int(rng.integers(*ages))
    muscle = str(rng.choice(list(MUSCLES), p=[0.6, 0.25, 0.15]))
    tissue = draw_tissue(disease, severity, sex, age, muscle, rng)
    small = rng.random() < SMALL_SHARE
    wanted = float(rng.uniform(*(N_SMALL if small else N_FIBERS)))
    enzyme = str(rng.choice(["atpase:9.4", "atpase:4.6", "atpase:4.3"], p=[0.8, 0.1, 0.1]))
    stains = {"he": ("he",), "atpase": (enzyme,), "both": ("he", enzyme)}[use_case]
    imaging = []
    for stain in stains:
        harm = 1.0 if rng.random() < 0.15 else float(rng.uniform(0.3, 0.7))
        imaging.append(random_imaging(rng, stain, severity=harm))
    side = float(np.clip(field_side_um(tissue, wanted), *SIDE_UM))
    return Biopsy(
        number=number,
        seed=seed,
        disease=disease,
        severity=severity,
        use_case=use_case,
        sex=sex,
        age=age,
        muscle=muscle,
        stains=stains,
        tissue=tissue,
        imaging=tuple(imaging),
        size_um=round(side),
    )


def field_side_um(tissue: TissueParams, n_fibers: float) -> float:
    """Side of the square field that holds about so many fibers."""
    atrophic = tissue.atrophic_share
    if tissue.motor_units_lost > 0:
        atrophic = 1 - (1 - tissue.motor_units_lost) ** (1 - tissue.recapture)
    gap = tissue.endomysium_um + min(tissue.crack_um, 4.0)
    small = (np.mean(tissue.atrophic_diameter_um) + gap) ** 2
    usual = (np.mean(tissue.diameter_um) * 1.03 + gap) ** 2 * (1 + tissue.diameter_cv**2)
    usual *= 1 + 1.8 * tissue.hypertrophic_share
    cell = np.pi / 4 * (atrophic * small + (1 - atrophic) * usual)
    taken = tissue.fat + tissue.inflammation + tissue.lobules + tissue.glass
    taken += 2 * tissue.perimysium_um / tissue.fascicle_um
    return float(np.sqrt(n_fibers * cell * tissue.stretch / max(1 - taken, 0.25)))
