"""A score with its findings, as the summary of a section holds them."""

from __future__ import annotations

import copy
from typing import Any

HOSTILE = "<script>alert(\"x\")</script> & 'Müller' 生検 </style>"
"""A name that must not become markup."""


def finding_of(name: str, grade: str = "mild", **changes: Any) -> dict[str, Any]:
    """A finding; one that cannot be assessed has no value."""
    found: dict[str, Any] = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "family": "shape",
        "hpo": None,
        "value": 7.4,
        "unit": "% of fibers",
        "low": 5.1,
        "high": 9.9,
        "n": 312,
        "counted": "fibers",
        "reference": {
            "text": "below 2 %",
            "low": None,
            "high": 2.0,
            "source": "no published limit",
            "mark": "E",
        },
        "grade": grade,
        "why_not": "",
        "labels": [],
        "sentence": f"7.4 % of 312 fibers show {name}.",
    }
    if grade == "not assessable":
        found |= {"value": None, "low": None, "high": None, "why_not": "this stain shows none"}
    return found | changes


def row_of(finding: str, denervation: float, myopathy: float, **changes: Any) -> dict[str, Any]:
    """A row of the evidence."""
    row = {
        "family": "shape",
        "family_title": "Shape of small fibers",
        "finding": finding,
        "title": finding.replace("_", " ").capitalize(),
        "denervation": denervation,
        "myopathy": myopathy,
        "denervation_log10_lr": denervation / 50,
        "myopathy_log10_lr": myopathy / 50,
        "capped": False,
        "counted": True,
        "reason": "",
    }
    return row | changes


def score_of(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A score that its evidence adds up to."""
    evidence = list(rows) or [
        row_of("small_angular_fibers", 100 / 7, -10 / 3, capped=True),
        row_of("grouped_atrophy", 100 / 6, -5 / 3),
        row_of("internal_nuclei", 0.0, -20 / 3),
        row_of("type_grouping", 0.0, 0.0, counted=False, reason="not assessable: no types"),
    ]
    found: dict[str, Any] = {
        "axis": {"value": 81.2, "low": 60.0, "high": 93.0},
        "verdict": "denervation",
        "verdict_text": "Favours denervation",
        "sentence": "Small angular fibers speak for denervation.",
        "type2_atrophy": {"present": None, "text": "Selective type II atrophy: not assessable."},
        "baseline": {"denervation": 50.0, "myopathy": 50.0},
        "evidence": evidence,
        "notes": [{"name": "age", "text": "The age is not given."}],
        "interval": {"level": 0.9, "n_replicates": 400, "method": "fascicles drawn anew"},
        "prior": {"denervation": 0.0, "myopathy": 0.0},
        "tempering": 0.7,
        "evidence_file": {"name": "default", "sha256": "ab" * 32},
        "limits_of_use": ["Nobody has yet validated the scores on patients."],
    }
    for change in ("denervation", "myopathy"):
        value = 50.0 + sum(row[change] for row in evidence if row["counted"])
        found[change] = {"value": value, "low": value - 12.0, "high": value + 9.0}
    return copy.deepcopy(found | changes)


def no_score() -> dict[str, Any]:
    """The score of too little tissue."""
    nothing = dict.fromkeys(("value", "low", "high"))
    return score_of(
        denervation=nothing,
        myopathy=nothing,
        axis=None,
        verdict="not_enough_tissue",
        verdict_text="Not enough tissue",
    )


def summary_of(**changes: Any) -> dict[str, Any]:
    """The summary of a section with a score."""
    summary: dict[str, Any] = {
        "name": "section 1",
        "research_use_only": "For research use only. Not for use in diagnostic procedures.",
        "fibers": {
            "n_fibers": 320,
            "n_measured": 312,
            "quantities": {"min_feret_um": {"n": 312, "mean": 51.2, "sd": 12.0, "median": 50.0}},
            "variability_coefficient": {
                "value": 234.0,
                "normal_below": {"value": 250.0, "source": "a book", "mark": "P-ocr"},
            },
        },
        "nuclei": {"assessable": False, "why_not": "the stain shows no nuclei"},
        "tissue": {"assessable": True, "fat_percent": 3.21},
        "types": {"assessable": True, "shares": {"I": {"n": 3, "of": 4, "share": 0.75}}},
        "patterns": {
            "type_grouping": {"assessable": False, "why_not": "no types"},
            "grouped_atrophy": {"assessable": True, "verdict": "scattered", "p": 0.2},
        },
        "adequacy": {
            "statistics": {
                "shape": {
                    "title": "shape of small fibers",
                    "counted": "fibers",
                    "n": 312,
                    "minimum": {"value": 20.0, "source": "a rule", "mark": "default"},
                    "recommended": {"value": 400.0, "source": "a rule", "mark": "default"},
                    "enough": True,
                }
            },
            "exclusions": {
                "excluded": {"n": 8, "of": 320, "share": 0.025},
                "by_reason": {"cut by the image border": {"n": 8, "of": 320, "share": 0.025}},
            },
        },
        "quality": {"excluded_percent": 1.5, "excluded": {"out of focus": 1.5}},
        "image": {"stain": "atpase:9.4", "stain_source": "given", "mpp": [0.5, 0.5]},
        "warnings": ["The image has no name."],
        "provenance": {
            "biopsy_ai_version": "1.2.3",
            "utc_time": "2026-11-29T06:27:01+00:00",
            "weights_sha256": "cd" * 32,
            "segmentation": {"model": "muscle", "model_version": "5"},
            "configuration": {"sex": "female", "age": 61, "muscle": "deltoid", "side": "left"},
        },
        "score": score_of(),
        "findings": [
            finding_of("small_angular_fibers", "severe", labels=[4, 7]),
            finding_of("type_grouping", "not assessable"),
            finding_of("hypertrophy", "absent"),
        ],
    }
    return summary | changes
