"""How many fibers of type I each muscle usually holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from biopsy_ai.measure.brooke_engel import Sex
from biopsy_ai.measure.reference import Reference
from biopsy_ai.yaml_text import load_yaml


@dataclass(frozen=True)
class MuscleReference:
    """Share of type I fibers of a muscle in normal adults.

    Attributes
    ----------
    name
        Of the muscle.
    share
        Mean share, 0..1, with source and mark.
    sd
        Standard deviation between subjects, 0..1.
    range
        Lowest and highest share, 0..1, where they are known.
    """

    name: str
    share: Reference
    sd: Reference
    range: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as a JSON-ready dict."""
        return {
            "name": self.name,
            "share": self.share.as_dict(),
            "sd": self.sd.as_dict(),
            "range": None if self.range is None else list(self.range),
        }


_LEFT_OFF = ("m", "musculus", "muscle", "left", "right")


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    text = files("biopsy_ai.patterns").joinpath("muscles.yaml").read_text(encoding="utf-8")
    return dict(load_yaml(text))


def muscle_names() -> list[str]:
    """Names of the muscles of which the usual share of type I is known."""
    return list(_read()["muscles"])


def find_muscle(name: str, sex: Sex | None = None) -> MuscleReference | None:
    """Look up a muscle by its name or a short form; None where it is not known.

    Parameters
    ----------
    name : str
        Such as ``vastus lateralis`` or ``VL``; ``m.``, case, side and spaces do not matter.
    sex : {"male", "female"}, optional
        Some muscles differ between men and women.
    """
    wanted = _plain(name)
    table = _read()
    for known, entry in table["muscles"].items():
        if wanted not in {_plain(word) for word in (known, *entry["names"])}:
            continue
        key = {"male": "men", "female": "women"}.get(sex or "", "mean")
        mean = float(entry.get(key, entry["mean"])) / 100
        span = entry.get("range")
        sd = table["sd"]
        return MuscleReference(
            known,
            Reference(mean, str(entry["source"]), str(entry["mark"])),
            Reference(float(sd["value"]) / 100, str(sd["source"]), str(sd["mark"])),
            None if span is None else (float(span[0]) / 100, float(span[1]) / 100),
        )
    return None


def _plain(name: str) -> str:
    words = name.lower().replace(".", " ").replace("_", " ").replace("-", " ").split()
    return " ".join(word for word in words if word not in _LEFT_OFF)
