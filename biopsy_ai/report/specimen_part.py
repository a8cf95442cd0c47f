"""The head of a report: what was cut, stained, scanned and analyzed, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biopsy_ai.config import MPP_GIVEN
from biopsy_ai.report.document import Facts, Part
from biopsy_ai.report.wording import first_upper, is_number, number, setting

STAIN_NAMES = {
    "he": "H&E",
    "trichrome": "trichrome",
    "sirius_red": "picrosirius red",
    "atpase": "ATPase",
    "nadh": "NADH-TR",
    "sdh": "SDH",
    "cox": "COX",
    "if": "immunofluorescence",
}
"""As a pathologist writes them."""

UNKNOWN = "not given"


def specimen_part(summary: Mapping[str, Any]) -> Part:
    """Tell what the section is and how it was analyzed.

    Parameters
    ----------
    summary
        Content of summary.json. ``specimen`` holds the codes of patient and block, where known.
    """
    provenance = summary.get("provenance") or {}
    settings = provenance.get("configuration") or {}
    image = summary.get("image") or {}
    codes = summary.get("specimen") or {}
    age = settings.get("age")
    pairs = [
        ("Section", str(summary.get("name") or "")),
        ("Patient code", codes.get("patient")),
        ("Block code", codes.get("block")),
        ("Muscle", settings.get("muscle") or UNKNOWN),
        ("Side", settings.get("side") or UNKNOWN),
        ("Age", f"{number(age)} years" if is_number(age) else UNKNOWN),
        ("Sex", settings.get("sex") or UNKNOWN),
        ("Stain", _stain(image)),
        ("Pixel size", _pixel_size(summary, image)),
        ("Size of the image", _extent(image)),
        ("Image file", image.get("file")),
        ("Outlines", _outlines(provenance)),
        ("Analyzed", moment(provenance.get("utc_time"))),
        ("Reviewed", _review(summary.get("review"))),
        ("Program", f"biopsy-ai {provenance.get('biopsy_ai_version') or 'of unknown version'}"),
    ]
    return Part("Specimen", (Facts(tuple((name, str(text)) for name, text in pairs if text)),))


def stain_name(stain: Any) -> str:
    """Name a stain as a pathologist does; a name that is not known stays as it is."""
    name, _, ph = str(stain or "").partition(":")
    shown = STAIN_NAMES.get(name, name)
    return f"{shown}, pH {ph}" if ph else shown


def moment(utc_time: Any) -> str:
    """Write a time as date and minute of UTC; what is none of that stays as it is."""
    date, _, time = str(utc_time or "").partition("T")
    return f"{date}, {time[:5]} UTC" if time else date


def _stain(image: Mapping[str, Any]) -> str:
    stain = image.get("stain")
    if not stain or stain in ("auto", "unknown"):
        return "not known"
    source = image.get("stain_source")
    return first_upper(stain_name(stain)) + (f" ({source})" if source else "")


def _pixel_size(summary: Mapping[str, Any], image: Mapping[str, Any]) -> str:
    mpp = image.get("mpp") or summary.get("outlines_mpp")
    if not mpp or len(mpp) != 2 or not all(is_number(side) for side in mpp):
        return ""
    y, x = (setting(side) for side in mpp)
    source = image.get("mpp_source") or summary.get("outlines_mpp_source")
    size = f"{y} µm" if y == x else f"{y} × {x} µm (height × width)"
    if not source:
        return size
    return f"{size}, {source}" if source == MPP_GIVEN else f"{size}, from {source}"


def _extent(image: Mapping[str, Any]) -> str:
    shape, mpp = image.get("shape"), image.get("mpp")
    if not shape or not mpp:
        return ""
    height, width = (side * step / 1000 for side, step in zip(shape[:2], mpp, strict=True))
    return (
        f"{number(height)} × {number(width)} mm, {shape[0]:,} × {shape[1]:,} pixels "
        "(height × width)"
    )


def _review(review: Any) -> str:
    """Who corrected the section, when, and what became of its fibers."""
    if not isinstance(review, Mapping):
        return ""
    names = " and ".join(str(name) for name in review.get("reviewers") or ())
    told = [names and f"by {names}", moment(review.get("last_utc"))]
    counts = {
        name: int(n) for name, n in (review.get("fibers") or {}).items() if isinstance(n, int)
    }
    changed = [words.format(counts[name]) for name, words in _CHANGES.items() if counts.get(name)]
    if "corrected" in counts:
        share = f"{counts['corrected']:,} of {counts.get('after', 0):,} fibers changed"
        told.append(share + (f" ({'; '.join(changed)})" if changed else ""))
    for name, words in (("removed", "removed"), ("accepted", "accepted as they were")):
        if counts.get(name):
            told.append(f"{counts[name]:,} {words}")
    return ", ".join(part for part in told if part) or "by a person"


_CHANGES = {
    "outline": "outlines: {}",
    "type": "types: {}",
    "condition": "conditions: {}",
    "exclusion": "left out or taken in: {}",
}


def _outlines(provenance: Mapping[str, Any]) -> str:
    made = provenance.get("segmentation") or {}
    if provenance.get("outlines_sha256"):
        file = str(provenance.get("outlines_file") or "").replace("\\", "/").rpartition("/")[2]
        return f"taken from {file or 'a file'}, SHA-256 {provenance['outlines_sha256']}"
    model = made.get("model")
    if not model:
        return ""
    version = made.get("model_version")
    named = f"model {model}" + (f", version {version}" if version else "")
    weights = provenance.get("weights_sha256") or made.get("weights_sha256")
    return named + (f", weights SHA-256 {weights}" if weights else "")
