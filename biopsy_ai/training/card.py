"""The model card that is written beside the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.training.retraining_card import retraining_part
from biopsy_ai.training.rules_card import rules_lines

START_MARK = "<!-- generated: start -->"
END_MARK = "<!-- generated: end -->"
TABLE_MARK = "<!-- accuracy table -->"

_NAMED_IMAGES = 24
"""Images of one folder that a card names one by one. [default]"""

_BY_HAND = f"""
## Accuracy

{TABLE_MARK}

## Limits

Nothing was looked at yet. Look at outlines on real sections, compare them with
`biopsy-ai evaluate`, and write here where they fail, before anyone relies on this model.
"""


def model_card(spec: Mapping[str, Any], existing: str = "") -> str:
    """Text of a model's README.md from its specification.

    What is known from training stands between `START_MARK` and `END_MARK`. Everything else is
    written by hand, such as the table of ``benchmarks/accuracy.py`` where `TABLE_MARK` stands,
    and is kept.

    Parameters
    ----------
    spec
        Content of ``model.yaml``.
    existing
        The card that stands there; where it lacks the marks, the generated part comes before it.
    """
    generated = f"{START_MARK}\n{_generated(spec)}\n{END_MARK}"
    before, start, rest = existing.partition(START_MARK)
    _, end, after = rest.partition(END_MARK)
    if start and end:
        return before + generated + after
    return f"{generated}\n{_BY_HAND}" if not existing.strip() else f"{generated}\n\n{existing}"


def _generated(spec: Mapping[str, Any]) -> str:
    training = spec.get("training", {})
    tuning = spec.get("tuning", {})
    # A set, as a model and the one that it began from may share images.
    items = {
        (item.get("image") or item["file"], item.get("license") or "not stated")
        for part in ancestry(spec)
        for key in ("trained_on", "outlines", "adipose")
        for item in part.get(key, [])
    }
    licenses = Counter(license for _, license in sorted(items))
    lines = [
        "<!-- Training rewrites this part and keeps the rest: check that the rest still holds. -->",
        "",
        f"# {_named(spec)}",
        "",
        "Outlines the fibers of stained cross-sections of skeletal muscle, any stain, at "
        f"{spec.get('working_mpp', OUTLINE_MPP)} µm per pixel. Outlines follow the sarcoplasm up "
        f"to the inner edge of the membrane.{_further(spec)}",
        "",
        "**For research use only. Not for use in diagnostic procedures.**",
        "",
        *retraining_part(spec),
        *rules_lines(spec),
        "## Trained on",
        "",
        *_materials(spec),
        "",
        *_beginning(spec),
        "Licenses: "
        + (", ".join(f"{k} ({n})" for k, n in licenses.items()) or "none needed")
        + ".",
        "",
        f"{training.get('steps', '?')} steps of {training.get('batch', '?')} crops of "
        f"{training.get('crop_px', '?')} px{_part(training)}.",
        "",
        "## Tuned",
        "",
        _tuned(spec),
        "",
        *(
            f"- {name.replace('_', ' ')}: F1 {score['f1_50']} at IoU 0.5"
            + (
                f", {score['f1_75']} at IoU 0.75, median bias of the cross-sectional area "
                f"{score['csa_bias_percent']} %"
                if "f1_75" in score
                else ""
            )
            for name, score in tuning.items()
        ),
        "",
    ]
    return "\n".join(lines).rstrip() + "\n"


def _part(training: Mapping[str, Any]) -> str:
    """Which part alone has learned."""
    named = {"nuclei": "nuclei", "tissue": "tissue classes"}.get(training.get("only", ""))
    return f", in which the {named} alone learned" if named else ""


def _tuned(spec: Mapping[str, Any]) -> str:
    if spec.get("tuning"):
        return (
            "Thresholds were tuned on the development images and on unseen synthetic sections. "
            "There:"
        )
    if "comparison" in spec or spec.get("training", {}).get("only"):
        return f"Thresholds are those of {_named(spec['start'])}."
    return "Thresholds were not tuned yet."


def _further(spec: Mapping[str, Any]) -> str:
    """Say what else the network draws."""
    heads = spec.get("architecture", {})
    parts = [
        text
        for name, text in (("nuclei", "nuclei"), ("tissue", "the tissue class of each pixel"))
        if heads.get(name)
    ]
    return f" Draws {' and '.join(parts)} as well." if parts else ""


def ancestry(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the model, the one that its training began from, and so on."""
    part: Mapping[str, Any] | None = spec
    while part is not None:
        yield part
        part = part.get("start")


def _materials(spec: Mapping[str, Any]) -> list[str]:
    """List what one training saw."""
    sections = spec.get("training", {}).get("sections", "an unknown number of")
    return [
        f"- {sections} synthetic sections (`biopsy_ai.synthesis`; every preset and stain)",
        *_images(spec.get("trained_on", [])),
        *(
            f"- outlines of {item['file']}, for some synthetic sections "
            f"({item.get('license') or 'license not stated'})"
            for item in spec.get("outlines", [])
        ),
        *(
            f"- fat of {item['file']}, as texture of some synthetic sections "
            f"({item.get('license') or 'license not stated'})"
            for item in spec.get("adipose", [])
        ),
    ]


def _images(items: Sequence[Mapping[str, str]]) -> list[str]:
    """List images, those of one folder together."""
    folders: dict[tuple[str, str], list[str]] = {}
    for item in items:
        folder, _, name = item["image"].rpartition("/")
        folders.setdefault((folder, item["license"]), []).append(name)
    lines = []
    for (folder, license), names in folders.items():
        if len(names) > _NAMED_IMAGES:
            text = f"{folder or 'images'}: {len(names)} images, named in model.yaml"
        else:
            text = f"{folder}: {', '.join(names)}" if folder else ", ".join(names)
        lines.append(f"- {text} ({license})")
    return lines


def _beginning(spec: Mapping[str, Any]) -> list[str]:
    """Say what training began from, and what that was trained on."""
    lines = []
    for part in ancestry(spec):
        training = "Training" if part is spec else f"The training of {_named(part)}"
        if "start" not in part:
            lines += [f"What {training[0].lower()}{training[1:]} began from was not recorded.", ""]
        elif part["start"] is None:
            lines += [f"{training} began from random weights.", ""]
        else:
            first = part["start"]
            lines += [
                f"{training} began from the weights of {_named(first)} (SHA-256 "
                f"{first['weights_sha256'][:12]}…), which had been trained on:",
                "",
                *_materials(first),
                "",
            ]
    return lines


def _named(spec: Mapping[str, Any]) -> str:
    return f"{spec['name']} {spec['version']}"
