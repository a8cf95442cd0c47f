"""Settings of an analysis: frozen, versioned, and the only place where defaults live."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from biopsy_ai.errors import ConfigError
from biopsy_ai.region import Region, check_region
from biopsy_ai.yaml_text import load_yaml

if TYPE_CHECKING:
    from biopsy_ai.measure.reference import Limits

STAINS = (
    "auto",
    "he",
    "trichrome",
    "sirius_red",
    "atpase",
    "atpase:9.4",
    "atpase:4.6",
    "atpase:4.3",
    "nadh",
    "sdh",
    "cox",
    "if",
)
"""Stain names that ``AnalysisConfig.stain`` takes."""

_STAIN_WORDS = {
    "h&e": "he",
    "hae": "he",
    "gomori": "trichrome",
    "masson": "trichrome",
    "siriusred": "sirius_red",
    "picrosiriusred": "sirius_red",
    "nadh-tr": "nadh",
    "immunofluorescence": "if",
}

KNOWN_CHANNELS = ("border", "nuclei", "I", "IIA", "IIX")
"""Channel names that mean something; others are kept and not looked at."""

MPP_MIN, MPP_MAX = 0.05, 5.0
"""Plausible pixel sizes of a light microscope, µm. [default, the user cannot change it]"""

MPP_GIVEN = "given by the user"
"""Source of a pixel size that does not come from a file."""

MPP_COARSE = 1.5
"""Above this pixel size (µm) sizes are reported and shapes are not. [default]"""

OUTLINE_MPP = 0.5
"""Pixel size of every label image that biopsy-ai draws, µm. At 0.5 µm a 10 µm fiber spans 20 px,
the least that its shape can be judged from."""


_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_limits(limits: dict[str, float]) -> dict[str, float]:
    """Refuse limits that nobody knows."""
    if limits:
        from biopsy_ai.measure.reference import check_limits

        check_limits(limits)
    return limits


class SegmentationConfig(_Section):
    """How fibers are outlined. ``None`` takes the value tuned for, and stored with, the model."""

    tile_px: Annotated[int, Field(ge=512, le=8192, multiple_of=512)] = 1024
    """Side of the core of a network tile, pixels, a multiple of 512. Changes speed and memory, and
    hardly the fibers."""
    overlap_px: Annotated[int, Field(ge=0, le=512)] = 192
    """Context that a tile reads beyond its core on each side, pixels."""
    precision: Literal["auto", "float"] = "auto"
    """``auto`` computes in whole numbers of eight bit where the processor is fastest so, ``float``
    in floating point everywhere. A few outlines differ."""
    views: Literal[1, 2, 4] = 1
    """Mirror images of the section over which the network averages. With 4 it finds fewer false
    fibers and draws outlines a little better, misses some faint borders, and takes four times
    as long."""
    second_look: bool = True
    """Look at small fibers a second time, enlarged, in bright field: fewer are missed, their
    outlines are better, and sections with many of them take a little longer."""
    foreground_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    min_area_um2: Annotated[float, Field(ge=0)] | None = None
    """Smaller objects are not called fibers, µm²."""


class MeasurementConfig(_Section):
    """How fibers are measured and which of them enter the statistics."""

    exclude_border_fibers: bool = True
    """Leave fibers cut by the image border out of size and shape statistics."""
    min_shape_diameter_px: Annotated[float, Field(ge=4)] = 20.0
    """Least equivalent diameter for a shape call, pixels. [default]"""
    limits: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)
    """Numbers to use in place of those of ``biopsy_ai/measure/reference.yaml``, by name."""

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, limits: dict[str, float]) -> dict[str, float]:
        return _checked_limits(limits)

    def __hash__(self) -> int:
        limits = frozenset(self.limits.items())
        return hash((self.exclude_border_fibers, self.min_shape_diameter_px, limits))


class TypingConfig(_Section):
    """How fibers are typed."""

    thresholds: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    """Values that part the types, in place of the fitted mixture: ``od`` for bright field, the
    name of a type channel (I, IIA, IIX) for fluorescence."""

    def __hash__(self) -> int:
        return hash(frozenset(self.thresholds.items()))


class TypeBorder(_Section):
    """Where the border between type I and type II lies, and how sure a call beside it is.

    See `biopsy_ai.patterns.type_border`; 1 and 0 leave both as the stain tells them.
    """

    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    offset: _Finite = 0.0


class RulesConfig(_Section):
    """What the model has learned of conditions and types from corrections.

    An analysis takes it from its model and writes it down with its settings; what is given here
    is replaced by that.
    """

    limits: dict[str, _Finite] = Field(default_factory=dict)
    """Numbers of ``biopsy_ai/measure/reference.yaml``, by name; those of the user win."""
    types: dict[str, TypeBorder] = Field(default_factory=dict)
    """By stain."""
    source: str = ""
    """What they were learned from, in words."""

    @field_validator("limits")
    @classmethod
    def _known_limits(cls, limits: dict[str, float]) -> dict[str, float]:
        return _checked_limits(limits)

    def __bool__(self) -> bool:
        return bool(self.limits or self.types)

    def __hash__(self) -> int:
        return hash((frozenset(self.limits.items()), frozenset(self.types.items()), self.source))


class PatternConfig(_Section):
    """How the patterns of types and small fibers are tested."""

    n_permutations: Annotated[int, Field(ge=99, le=1_000_000)] = 4999
    """Permutations of each test; p is never below 1 / (n + 1)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the permutations and resamplings: the same seed gives the same p."""


class AnalysisConfig(_Section):
    """Everything that decides the result of an analysis.

    Attributes
    ----------
    mpp
        Pixel size in µm, one number or (y, x). ``None`` takes it from the file.
    stain
        One of `STAINS`; recorded with the result. ``if`` has the slide read as fluorescence, any
        other name as bright field: the thresholds of the outlines and how tissue is found depend
        on that. Stains by enzymes (``atpase``, ``nadh``, ``sdh``, ``cox``) have thresholds of
        their own. Nuclei are assessed in stains that show them, and collagen in trichrome and
        picrosirius red. ``auto`` tells fluorescence from bright field by the image, and names the
        stain by its colors where they are clear.
    channels
        Channel number by name, for immunofluorescence. ``border`` names the channel that shows
        the fiber border, ``nuclei`` the one that shows the nuclei, and ``I``, ``IIA`` and ``IIX``
        those of myosin heavy chains, by which fibers are typed.
    model
        Name of a bundled model, or the path of a model folder.
    device
        Where the network runs. ``auto`` takes cuda, then mps, then cpu.
    sex
        Decides the limits of the atrophy and hypertrophy factors, which are left out without it.
    muscle
        Name of the muscle, such as ``vastus lateralis``: decides which share of type I is usual.
    side
        ``left`` or ``right``; recorded with the result.
    age
        Of the patient, years; children have smaller fibers.
    region
        Corners (y, x) of the part of the section to analyze, µm from the top left corner of the
        image; None for the whole section.
    evidence
        Path of an evidence file, by which findings become scores; None takes the one that comes
        with biopsy-ai.
    rules
        What the model has learned of conditions and types; set by the analysis.
    """

    schema_version: Literal[1] = 1
    mpp: float | tuple[float, float] | None = None
    stain: str = "auto"
    channels: dict[str, int] = Field(default_factory=dict)
    model: str = "muscle"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    sex: Literal["male", "female"] | None = None
    muscle: str | None = None
    side: Literal["left", "right"] | None = None
    age: Annotated[float, Field(ge=0, le=130, allow_inf_nan=False)] | None = None
    region: tuple[tuple[_Finite, _Finite], ...] | None = None
    evidence: str | None = None
    segmentation: SegmentationConfig = SegmentationConfig()
    measurement: MeasurementConfig = MeasurementConfig()
    typing: TypingConfig = TypingConfig()
    patterns: PatternConfig = PatternConfig()
    rules: RulesConfig = RulesConfig()

    @property
    def limits_in_force(self) -> Limits:
        """The numbers that rules and calls go by: the user's, else the model's, else the usual."""
        from biopsy_ai.measure.reference import Limits

        return Limits(self.measurement.limits, self.rules.limits, self.rules.source)

    @field_validator("stain")
    @classmethod
    def _known_stain(cls, value: str) -> str:
        return read_stain(value)

    @field_validator("region")
    @classmethod
    def _possible_region(cls, value: Region | None) -> Region | None:
        if value is not None:
            check_region(value)
        return value

    @field_validator("channels")
    @classmethod
    def _channel_numbers(cls, value: dict[str, int]) -> dict[str, int]:
        for name, number in value.items():
            if number < 0:
                raise ValueError(f"channel {name}={number}: channels are counted from 0")
        return value

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # settings read as they did before there were regions and rules that are learned
        known: dict[str, Any] = content(self)
        if known.get("region") is None:
            known.pop("region", None)
        if not self.rules:
            known.pop("rules", None)
        return known


def read_stain(text: str) -> str:
    """Read the name of a stain as people write it: ``H&E``, ``ATPase 9.4``, ``NADH-TR``.

    Raises
    ------
    ValueError
        If it is none of `STAINS`.
    """
    word = text.lower().replace(" ", "").replace(",", ".")
    word = re.sub(r"^atpase[:_-]?(ph)?(?=\d)", "atpase:", word)
    word = _STAIN_WORDS.get(word, word)
    if word not in STAINS:
        raise ValueError(f"unknown stain {text!r}; choose one of {', '.join(STAINS)}")
    return word


def read_channels(text: str) -> dict[str, int]:
    """Read channel numbers by name, such as ``border=3,nuclei=0``.

    `KNOWN_CHANNELS` may be written in any case.

    Raises
    ------
    ConfigError
        If the text is something else.
    """
    channels: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if not name or not number.isdecimal():
            raise ConfigError(f"{part!r} is not a name and a channel number, such as border=3")
        name = _channel_name(name)
        if name in channels:
            raise ConfigError(f"channel {name} is named twice: {text}")
        channels[name] = int(number)
    return channels


def _channel_name(name: str) -> str:
    known = {each.lower(): each for each in KNOWN_CHANNELS}
    if name.lower() in known:
        return known[name.lower()]
    # words alone: II and IIC are near to IIA, too
    words = [word for word in known if not word.startswith("i")]
    near = get_close_matches(name.lower(), words, n=1, cutoff=0.7)
    if near:
        raise ConfigError(
            f"channel {name!r} means nothing; did you mean {known[near[0]]}? Channels that are "
            f"looked at are {', '.join(KNOWN_CHANNELS)}."
        )
    return name


def make_config(**values: Any) -> AnalysisConfig:
    """Build an `AnalysisConfig`, turning validation errors into a readable `ConfigError`."""
    try:
        return AnalysisConfig(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(map(_complaint, error.errors()))) from None


def _complaint(item: Mapping[str, Any]) -> str:
    """What is wrong with a setting, in words for those who do not know Python."""
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; the README lists all"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def load_config(path: str | Path) -> AnalysisConfig:
    """Read a configuration from a YAML file."""
    try:
        values = load_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: the configuration cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a YAML mapping of settings, such as 'stain: he'")
    try:
        return make_config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def save_config(config: AnalysisConfig, path: str | Path) -> None:
    """Write a configuration as YAML, in a form that `load_config` reads back."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")
