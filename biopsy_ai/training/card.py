"""The model card that is written beside the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

TABLE_MARK = "<!-- accuracy table -->"


def model_card(spec: Mapping[str, Any]) -> str:
    """Text of a model's README.md from its specification.

    The accuracy table is that of ``benchmarks/accuracy.py``; it is put in where `TABLE_MARK`
    stands.
    """
    training = spec.get("training", {})
    tuning = spec.get("tuning", {})
    licenses = Counter(item["license"] for item in spec.get("trained_on", []))
    lines = [
        f"# {spec['name']} {spec['version']}",
        "",
        "Outlines the fibers of stained cross-sections of skeletal muscle, any stain, at "
        f"{spec.get('working_mpp', 0.5)} µm per pixel. Outlines follow the sarcoplasm up to the "
        "inner edge of the membrane.",
        "",
        "**For research use only. Not for use in diagnostic procedures.**",
        "",
        "## Trained on",
        "",
        f"- {training.get('sections', 'unknown number of')} synthetic sections "
        "(`biopsy_ai.synthesis`; every preset and stain)",
        *(f"- {item['image']} ({item['license']})" for item in spec.get("trained_on", [])),
        "",
        "Licenses: "
        + (", ".join(f"{k} ({n})" for k, n in licenses.items()) or "none needed")
        + ".",
        "",
        f"{training.get('steps', '?')} steps of {training.get('batch', '?')} crops of "
        f"{training.get('crop_px', '?')} px.",
        "",
        "## Measured",
        "",
        "Thresholds were tuned on the development images and on unseen synthetic sections. There:",
        "",
        *(
            f"- {name.replace('_', ' ')}: F1 {score['f1_50']} at IoU 0.5, {score['f1_75']} at "
            f"IoU 0.75, median bias of the cross-sectional area {score['csa_bias_percent']} %"
            for name, score in tuning.items()
        ),
        "",
        TABLE_MARK,
        "",
    ]
    return "\n".join(lines)
