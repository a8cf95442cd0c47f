"""What a synthetic section looks like: frozen parameter objects and the presets by disease."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from biopsy_ai.errors import ConfigError
from biopsy_ai.yaml_text import load_yaml

STAINS = (
    "he",
    "gomori",
    "masson",
    "sirius_red",
    "atpase:9.4",
    "atpase:4.6",
    "atpase:4.3",
    "nadh",
    "sdh",
    "cox",
    "if",
)
"""Stains that can be rendered; ``trichrome`` is accepted for ``gomori``."""

CHANNELS = ("border", "I", "IIA", "IIX", "nuclei")
"""Channels of immunofluorescence: the border of the fibers, three types, nuclei."""


_SHARES = (
    "type1_share",
    "grouping",
    "atrophic_share",
    "grouped_atrophy",
    "glass",
    "clumped",
    "lobules",
    "fibrosis",
    "motor_units_lost",
    "recapture",
    "border_type2",
    "hybrid_share",
    "perifascicular_atrophy",
)


@dataclass(frozen=True)
class TissueParams:
    """Geometry and pathology of a section. Lengths in µm, shares in 0..1; see ``presets.yaml``."""

    diameter_um: tuple[float, float] = (58.0, 60.0)
    diameter_cv: float = 0.17
    type1_share: float = 0.45
    grouping: float = 0.0
    atrophic_share: float = 0.0
    atrophic_type: int = 0
    """Type that atrophies: 1, 2, or 0 for both."""
    atrophic_diameter_um: tuple[float, float] = (9.0, 28.0)
    grouped_atrophy: float = 0.0
    angular_share: float = 0.2
    hypertrophic_share: float = 0.0
    rounding: float = 0.15
    endomysium_um: float = 1.6
    perimysium_um: float = 30.0
    fascicle_um: float = 700.0
    crack_um: float = 1.0
    """Mean width of the white crack between a shrunken fiber and its endomysium."""
    internal_nuclei: float = 0.02
    nuclei_per_fiber: float = 2.0
    necrotic: float = 0.0
    regenerating: float = 0.0
    hypercontracted: float = 0.0
    vacuolated: float = 0.0
    split: float = 0.0
    whorled: float = 0.0
    fat: float = 0.0
    inflammation: float = 0.0
    vessels_per_mm2: float = 6.0
    nerves_per_mm2: float = 1.5
    stretch: float = 1.0
    """Oblique cutting: length of the section of a round fiber over its width."""
    glass: float = 0.0
    """Share of the field outside the tissue."""
    phagocytosed: float = 0.0
    """Share of fibers invaded by macrophages."""
    clumped: float = 0.0
    """Share of the atrophic fibers of which only a clump of pyknotic nuclei is left."""
    lobules: float = 0.0
    """Share of the field that lobules of fat take, in place of fibers."""
    fibrosis: float = 0.0
    """Share of the field where collagen widens the endomysium,"""
    fibrosis_um: float = 8.0
    """and by how much, µm."""
    spindles_per_mm2: float = 0.0
    """Bright field only."""
    fill_gaps: bool = False
    """Whether perimysium fills wide gaps between fibers, which stay clear otherwise."""
    motor_units_lost: float = 0.0
    """Share of the motor units that are lost one after another; see `motor_units`. Above 0 types
    and atrophy follow from it, and grouping, atrophic_share, atrophic_type and grouped_atrophy
    do nothing."""
    recapture: float = 0.7
    """Chance that a fiber which lost its nerve is captured by the unit of a neighbor."""
    motor_unit_fibers: float = 25.0
    """Mean number of fibers of a motor unit in the section,"""
    motor_unit_reach: float = 12.0
    """and how far they lie from its middle (standard deviation), in fibers."""
    border_type2: float = 0.0
    """What the share of type 2 gains in the outer layer of fascicles."""
    hybrid_share: float = 0.0
    """Share of the fibers that are I/IIA or IIA/IIX."""
    perifascicular_atrophy: float = 0.0
    """Share of the fibers in the outer layer of fascicles that are made small. Packing lets others
    slip to the border: about three quarters of it are found there."""

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name}={value}: a share lies between 0 and 1")
        if min(self.diameter_um) <= 2 or self.diameter_cv < 0:
            raise ConfigError(
                f"diameter_um={self.diameter_um}, diameter_cv={self.diameter_cv}: "
                "fiber diameters must be above 2 µm and their variation not negative"
            )
        if self.motor_unit_fibers < 1 or self.motor_unit_reach <= 0:
            raise ConfigError(
                f"motor_unit_fibers={self.motor_unit_fibers}, "
                f"motor_unit_reach={self.motor_unit_reach}: a motor unit has at least 1 fiber and "
                "reaches further than 0 fibers"
            )


@dataclass(frozen=True)
class ImagingParams:
    """What staining, cutting and scanning do to the picture. 0 switches a defect off."""

    stain_strength: float = 1.0
    hue_jitter: float = 0.0
    """SD of the change of each dye vector (unit vectors in optical density)."""
    fiber_variation: float = 0.06
    """SD of the staining between fibers, relative."""
    contrast: float = 1.0
    """Visibility of the endomysium between close fibers: 0 none .. 1 full."""
    texture: float = 1.0
    blur_um: float = 0.3
    source_mpp: float = 0.5
    """Pixel size of the scanner; coarser than the drawing grid means lost detail."""
    noise: float = 0.01
    jpeg_quality: int = 90
    uneven_light: float = 0.03
    white: tuple[float, float, float] = (0.97, 0.97, 0.97)
    freezing_holes: float = 0.0
    """Share of fibers with ice-crystal holes."""
    hole_um: tuple[float, float] = (1.5, 12.0)
    folds: int = 0
    """Bright field only."""
    tears: int = 0
    dust: int = 0
    background: float = 0.02
    """Optical density of empty glass, or black level in immunofluorescence."""
    crush: int = 0
    """Crushed places; bright field only."""
    ink: int = 0
    """Marks of ink; bright field only."""
    relief: float = 0.0
    """Lines of bent light in tissue without stain, 0 none .. 1 strong; bright field only."""


@dataclass(frozen=True)
class SectionParams:
    """Everything but the seed that decides a synthetic section."""

    tissue: TissueParams = field(default_factory=TissueParams)
    imaging: ImagingParams = field(default_factory=ImagingParams)
    stain: str = "he"
    size_um: tuple[float, float] = (512.0, 512.0)
    """Field height and width, µm."""
    mpp: float = 0.5
    channels: tuple[str, ...] = ("border",)
    """Channels of immunofluorescence in the order of the picture, out of `CHANNELS`."""

    def __post_init__(self) -> None:
        if self.stain not in STAINS:
            raise ConfigError(f"stain {self.stain!r}: choose one of {', '.join(STAINS)}")
        if unknown := [name for name in self.channels if name not in CHANNELS]:
            raise ConfigError(f"channel {unknown[0]!r}: choose among {', '.join(CHANNELS)}")
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ConfigError(f"channels={self.channels}: name at least one, and each once")
        if self.stain != "if" and self.channels != ("border",):
            raise ConfigError(f"stain {self.stain!r} has no channels to choose; stain 'if' has")
        if min(self.size_um) < 20 or not 0.1 <= self.mpp <= 4:
            raise ConfigError("a section needs at least 20 µm a side and 0.1–4 µm per pixel")


_TRAINED = (
    "normal",
    "acute_denervation",
    "chronic_reinnervation",
    "dystrophy",
    "inflammatory",
    "type2_atrophy",
)
"""Presets that training starts from: others would change what a seed gives."""


@cache
def _preset_values() -> dict[str, dict[str, Any]]:
    text = (files("biopsy_ai.synthesis") / "presets.yaml").read_text(encoding="utf-8")
    return load_yaml(text)


def preset_names() -> tuple[str, ...]:
    """Names that `preset` takes."""
    return tuple(_preset_values())


def preset(name: str) -> TissueParams:
    """Tissue parameters of a named condition, such as ``normal`` or ``dystrophy``.

    Raises
    ------
    ConfigError
        If there is no such preset; the message lists the known ones.
    """
    values = _preset_values()
    if name not in values:
        raise ConfigError(f"preset {name!r}: choose one of {', '.join(values)}")
    chosen: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in values[name].items()
    }
    known = {f.name for f in fields(TissueParams)}
    if unknown := set(chosen) - known:
        raise ConfigError(f"presets.yaml: {name} has unknown settings {sorted(unknown)}")
    return TissueParams(**chosen)


def stain_name(text: str) -> str:
    """Accept the command line's stain words (``trichrome``, ``atpase``) for rendering."""
    name = {"trichrome": "gomori", "atpase": "atpase:9.4"}.get(text, text)
    if name not in STAINS:
        raise ConfigError(f"stain {text!r}: choose one of trichrome, atpase, {', '.join(STAINS)}")
    return name


def random_imaging(rng: np.random.Generator, stain: str, *, severity: float = 1.0) -> ImagingParams:
    """Draw imaging defects as laboratories produce them.

    Parameters
    ----------
    severity
        0 gives clean pictures, 1 the spread used for training.
    """

    def rare(chance: float) -> bool:
        return bool(rng.random() < chance * severity)

    fluorescent = stain == "if"
    tint = rng.normal(0, 0.02 * severity, 3)
    white = np.clip(rng.uniform(0.86, 1.0) + tint, 0.75, 1.0)
    return ImagingParams(
        stain_strength=float(np.exp(rng.normal(0, 0.3 * severity))),
        hue_jitter=0.07 * severity,
        fiber_variation=float(rng.uniform(0.02, 0.05 + 0.2 * severity)),
        contrast=float(rng.choice([1.0, rng.uniform(1 - 0.95 * severity, 1.0)])),
        texture=float(rng.uniform(0.3, 1.0 + 1.2 * severity)),
        blur_um=float(rng.uniform(0.1, 0.3 + 0.7 * severity)),
        source_mpp=float(rng.choice([0.5, rng.uniform(0.5, 1.2)])) if severity else 0.5,
        noise=float(rng.uniform(0.002, 0.01 + (0.06 if fluorescent else 0.025) * severity)),
        jpeg_quality=int(rng.integers(95 - int(50 * severity), 98)),
        uneven_light=float(rng.uniform(0, 0.12 * severity)),
        white=(float(white[0]), float(white[1]), float(white[2])),
        freezing_holes=float(rng.uniform(0.05, 0.9)) if rare(0.22) else 0.0,
        hole_um=(float(rng.uniform(1.0, 3.0)), float(rng.uniform(4.0, 22.0))),
        folds=int(rng.integers(1, 3)) if rare(0.06) else 0,
        tears=int(rng.integers(1, 4)) if rare(0.12) else 0,
        dust=int(rng.integers(1, 6)) if rare(0.15) else 0,
        background=float(rng.uniform(0.0, 0.06)),
    )


def random_tissue(rng: np.random.Generator) -> TissueParams:
    """Draw tissue parameters over, and somewhat beyond, the range of the presets (training)."""
    start = preset(str(rng.choice(_TRAINED)))
    scale = float(np.exp(rng.normal(-0.12, 0.33)))
    type1, type2 = (float(np.clip(d * scale, 14, 110)) for d in start.diameter_um)

    def share(value: float, spread: float) -> float:
        return float(np.clip(value * np.exp(rng.normal(0, 0.5)) + rng.exponential(spread), 0, 0.6))

    return TissueParams(
        diameter_um=(type1, type2),
        diameter_cv=float(np.clip(start.diameter_cv * np.exp(rng.normal(0, 0.3)), 0.08, 0.6)),
        type1_share=float(rng.uniform(0.2, 0.8)),
        grouping=float(rng.choice([0.0, rng.uniform(0, 1)])),
        atrophic_share=share(start.atrophic_share, 0.06),
        atrophic_type=int(rng.integers(0, 3)),
        atrophic_diameter_um=(float(rng.uniform(6, 12)), float(rng.uniform(16, 32))),
        grouped_atrophy=float(rng.uniform(0, 1)),
        angular_share=float(rng.uniform(0, 0.9)),
        hypertrophic_share=share(start.hypertrophic_share, 0.03),
        rounding=float(np.clip(start.rounding + rng.normal(0, 0.25), 0, 1)),
        endomysium_um=float(np.clip(rng.lognormal(np.log(start.endomysium_um), 0.5), 0.5, 25)),
        perimysium_um=float(rng.lognormal(np.log(25), 0.6)),
        fascicle_um=float(rng.uniform(200, 900)),
        crack_um=float(rng.choice([0.0, rng.exponential(1.2), rng.exponential(3.0)])),
        internal_nuclei=share(start.internal_nuclei, 0.05),
        nuclei_per_fiber=float(rng.uniform(1.0, 4.5)),
        necrotic=share(start.necrotic, 0.015),
        regenerating=share(start.regenerating, 0.02),
        hypercontracted=share(start.hypercontracted, 0.015),
        vacuolated=share(start.vacuolated, 0.02),
        split=share(start.split, 0.01),
        fat=float(rng.choice([0.0, min(0.5, rng.exponential(0.06))])),
        inflammation=float(rng.choice([0.0, min(0.4, rng.exponential(0.05))])),
        stretch=float(1 + rng.choice([0.0, abs(rng.normal(0, 0.35))])),
        glass=float(rng.choice([0.0, 0.0, rng.uniform(0, 0.5)])),
        # drawn last, so that the draws above give what they gave before
        whorled=share(start.whorled, 0.01),
    )


def random_lesions(tissue: TissueParams, rng: np.random.Generator) -> TissueParams:
    """Add lesions to random tissue (training); drawn apart, so that `random_tissue` stays.

    Fat and connective tissue reach beyond the range that is measured, 0–40 % of each.
    """

    def sometimes(chance: float, low: float, high: float) -> float:
        value = float(rng.uniform(low, high))
        return value if rng.random() < chance else 0.0

    wide = 1.0 + sometimes(0.2, 0.5, 3.0)
    return replace(
        tissue,
        phagocytosed=sometimes(0.25, 0.005, 0.05),
        clumped=sometimes(0.3, 0.1, 0.6),
        lobules=sometimes(0.3, 0.02, 0.5),
        fibrosis=sometimes(0.3, 0.1, 1.0),
        fibrosis_um=float(rng.uniform(3, 16)),
        spindles_per_mm2=sometimes(0.12, 2.0, 6.0),
        perimysium_um=min(tissue.perimysium_um * wide, 150.0),
        fill_gaps=True,
    )


def random_artefacts(imaging: ImagingParams, rng: np.random.Generator) -> ImagingParams:
    """Plant artefacts in random imaging (training); drawn apart from `random_imaging`.

    More often than in laboratories: what is rare in training is not learned.
    """
    folds, tears, crush, ink = (int(n) for n in rng.integers(1, 4, 4))
    chances = rng.random(4)
    return replace(
        imaging,
        folds=folds if chances[0] < 0.25 else imaging.folds,
        tears=tears if chances[1] < 0.25 else imaging.tears,
        crush=crush if chances[2] < 0.12 else 0,
        ink=ink if chances[3] < 0.1 else 0,
    )
