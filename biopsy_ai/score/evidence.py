"""The evidence file: what each finding says for denervation and for myopathy."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from biopsy_ai.errors import ConfigError
from biopsy_ai.yaml_text import load_yaml

CHANGES = ("denervation", "myopathy")
"""The two changes that are scored, each against muscle without it."""

EVIDENCE_FILE = "evidence.yaml"

WORDS = {
    "bimodality": ("modes",),
    "type_2_atrophy": ("atrophic",),
    "type_1_atrophy": ("atrophic",),
    "obliquity": ("aligned",),
}
"""What the sentence of a finding can tell besides its value and n."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Likelihood(_Part):
    """What a finding says of one change; means and scatter on the scale of the finding."""

    normal: float
    normal_elderly: float | None = None
    changed: float
    sd: Annotated[float, Field(gt=0)]
    most: Annotated[float, Field(ge=0)]
    least: Annotated[float, Field(le=0)]
    source: str
    mark: str


class Grades(_Part):
    """Limits of mild, moderate and severe, from which, or below which, a value has the grade."""

    above: tuple[float, float, float] | None = None
    below: tuple[float, float, float] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("grades have either 'above' or 'below'")
        limits = self.above or tuple(-x for x in self.below or ())
        if list(limits) != sorted(limits):
            raise ValueError("limits of grades must go from mild to severe")
        return self


class ReferenceRange(_Part):
    """What is usual, with its source and how far to trust it."""

    text: str
    low: float | None = None
    high: float | None = None
    source: str
    mark: str


class FindingRule(_Part):
    """How one finding is named, graded and weighed."""

    title: str
    family: str
    hpo: str | None = None
    unit: str
    counted: str
    decimals: Annotated[int, Field(ge=0, le=6)] = 1
    sentence: str
    scale: Literal["linear", "log"] = "linear"
    offset: Annotated[float, Field(ge=0)] = 0.0
    measurement_sd: Annotated[float, Field(ge=0)] = 0.0
    fiber_sd: Annotated[float, Field(ge=0)] = 0.0
    """Least scatter of single fibers, of which the error of their mean follows."""
    grades: Grades | None = None
    reference: ReferenceRange | None = None
    denervation: Likelihood | None = None
    myopathy: Likelihood | None = None

    @model_validator(mode="after")
    def _offset(self) -> Self:
        if self.scale == "log" and self.offset <= 0:
            raise ValueError("the log scale needs an offset above 0, as values may be 0")
        return self

    def of(self, change: str) -> Likelihood | None:
        """What the finding says of a change, one of `CHANGES`."""
        return self.denervation if change == "denervation" else self.myopathy


class PerChange(_Part):
    """A number for each change."""

    denervation: float
    myopathy: float

    def of(self, change: str) -> float:
        """The number of a change, one of `CHANGES`."""
        return self.denervation if change == "denervation" else self.myopathy


class Weights(PerChange):
    """Factors that calibration fits; 1 as delivered."""

    denervation: Annotated[float, Field(ge=0)] = 1.0
    myopathy: Annotated[float, Field(ge=0)] = 1.0


class Family(_Part):
    """Findings that say the same thing in several ways, and what they can say at most."""

    title: str
    cap: PerChange
    weight: Weights = Weights()


class IntervalRule(_Part):
    """How the interval of a score is made."""

    level: Annotated[float, Field(gt=0, lt=1)]
    replicates: Annotated[int, Field(ge=50, le=10_000)]
    least_units: Annotated[int, Field(ge=2)]
    neighborhood: Annotated[int, Field(ge=1)]
    missed_share: Annotated[float, Field(ge=0, lt=0.5)]
    unseen_sd: Annotated[float, Field(ge=0)]


class VerdictRule(_Part):
    """When a change is present."""

    least_fibers: Annotated[int, Field(ge=1)]
    present_above: Annotated[float, Field(gt=0, lt=100)]
    outweighs_from: Annotated[float, Field(ge=50, le=100)]


class Traps(_Part):
    """Limits of what keeps evidence from counting."""

    untyped_angular_most: Annotated[float, Field(ge=0)]
    perifascicular_below: float
    type_2_ratio_below: float
    type_2_ratio_below_elderly: float
    type_2_atrophic_from: float
    type_2_other_below: float
    type_2_times_type_1: float
    type_2_least_fibers: int
    few_fibers: int
    few_typed: int
    excluded_most: float
    grouped_from: float
    predominant_from: float
    excluded_note_from: float
    long_contacts_from: float
    distal_muscles: tuple[str, ...]


class Evidence(_Part):
    """An evidence file. See the comments in ``biopsy_ai/score/evidence.yaml``."""

    schema_version: Literal[1]
    name: str
    tempering: Annotated[float, Field(gt=0, le=2)]
    prior: PerChange
    elderly_from: float
    interval: IntervalRule
    verdict: VerdictRule
    families: dict[str, Family]
    other_families: dict[str, str]
    findings: dict[str, FindingRule]
    traps: Traps
    calibration: dict[str, Any] | None = None
    sha256: str = ""
    """Of the file that it was read from."""

    @model_validator(mode="after")
    def _sentences_can_be_filled(self) -> Self:
        for name, rule in self.findings.items():
            words = dict.fromkeys(WORDS.get(name, ()), "")
            try:
                rule.sentence.format(value="", n=0, **words)
            except (LookupError, ValueError, AttributeError) as error:
                known = ", ".join(f"{{{word}}}" for word in ("value", "n", *words))
                raise ValueError(
                    f"finding {name}: its sentence can hold {known} and nothing else in braces "
                    f"({error})"
                ) from None
        return self

    @model_validator(mode="after")
    def _families_known(self) -> Self:
        for name, rule in self.findings.items():
            if rule.family not in self.families and rule.family not in self.other_families:
                raise ValueError(f"finding {name}: there is no family {rule.family}")
            for change in CHANGES:
                says = rule.of(change)
                if says is None:
                    continue
                if rule.family not in self.families:
                    raise ValueError(f"finding {name}: family {rule.family} holds no evidence")
                cap = self.families[rule.family].cap.of(change)
                if says.most > cap or -says.least > cap:
                    raise ValueError(f"finding {name}: more than the cap of its family, {cap}")
        return self

    def title_of(self, family: str) -> str:
        """Name of a family for people."""
        if family in self.families:
            return self.families[family].title
        return self.other_families[family]


def load_evidence(path: str | Path | None = None) -> Evidence:
    """Read an evidence file, or the one that comes with biopsy-ai if `path` is None.

    Raises
    ------
    ConfigError
        If it cannot be read or does not say what is needed; the message names the place.
    """
    name = EVIDENCE_FILE if path is None else str(path)
    try:
        raw = (
            files("biopsy_ai.score").joinpath(EVIDENCE_FILE).read_bytes()
            if path is None
            else Path(path).read_bytes()
        )
    except OSError as error:
        raise ConfigError(f"{name}: the evidence file cannot be read ({error})") from error
    return _evidence_of(raw, name)


@lru_cache(maxsize=4)
def _evidence_of(raw: bytes, name: str) -> Evidence:
    try:
        content = load_yaml(raw.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}: the evidence file cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected a YAML mapping, as biopsy_ai/score/evidence.yaml is")
    content.pop("sha256", None)
    try:
        return Evidence(**content, sha256=hashlib.sha256(raw).hexdigest())
    except (ValidationError, TypeError) as error:
        raise ConfigError(f"{name}: {_first_lines(error)}") from None


def _first_lines(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    lines = [
        f"{'.'.join(str(part) for part in item['loc']) or 'the file'}: {item['msg']}"
        for item in error.errors()
    ]
    more = f"; and {len(lines) - 5} more" if len(lines) > 5 else ""
    return "; ".join(lines[:5]) + more
