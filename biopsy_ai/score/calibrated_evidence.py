"""What a calibration gives: an evidence file, and its figures as a table for people."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from biopsy_ai import __version__
from biopsy_ai.errors import CalibrationError
from biopsy_ai.formats.files import replacing
from biopsy_ai.score.calibration import Calibration
from biopsy_ai.score.evidence import Evidence
from biopsy_ai.score.reliability import Reliability

CALIBRATED = ", calibrated"
"""Follows the name of the evidence file that a calibration starts from."""


def write_evidence(
    path: str | Path,
    base: str | Path | None,
    evidence: Evidence,
    calibration: Calibration,
    *,
    date: datetime.date | None = None,
) -> None:
    """Write the evidence file in use with the fitted weights, for ``--evidence`` of ``analyze``.

    A score that the fit does not help keeps its weights.

    Parameters
    ----------
    path
        File to write or replace.
    base
        The evidence file in use; the one that comes with biopsy-ai if None.
    evidence
        Its content.
    calibration
        From `calibrate`.
    date
        Of the calibration; today if None.

    Raises
    ------
    CalibrationError
        If the fit helps neither score: there is nothing to write.
    OutputError
        If it cannot be written.
    """
    helped = [score for score in calibration.fitted if score.helps]
    if not helped:
        raise CalibrationError(
            "nothing was written: on patients not fitted on, the fitted weights are no better than "
            "those in use. Add labeled slides of more patients, or keep the evidence file in use."
        )
    content = _content(evidence)
    content["name"] = f"{evidence.name.removesuffix(CALIBRATED)}{CALIBRATED}"
    for score in helped:
        content["prior"][score.change] = round(score.prior, 4)
        for family, weight in score.weights.items():
            content["families"][family]["weight"][score.change] = round(weight, 4)
    content["calibration"] = {
        "of": "default" if base is None else Path(base).name,
        "date": (date or datetime.date.today()).isoformat(),
        "version": __version__,
        "n_patients": calibration.n_patients,
        "n_slides": calibration.n_slides,
        "seed": calibration.seed,
        "inputs": dict(calibration.inputs),
        "scores": {
            score.change: {
                "used": score.helps,
                "patients_with": score.n_with,
                "patients_without": score.n_without,
                "penalty": round(score.strength, 6),
                "before": score.before.as_dict(),
                "out_of_fold": score.after.as_dict(),
            }
            for score in calibration.fitted
        },
        "notes": list(calibration.notes),
    }
    head = (
        "# Evidence with weights fitted on a cohort by biopsy-ai calibrate; what each entry means "
        "stands in\n# the file that comes with biopsy-ai, biopsy_ai/score/evidence.yaml.\n"
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    with replacing(path) as temporary:
        temporary.write_text(head + text, encoding="utf-8", newline="\n")


def _content(evidence: Evidence) -> dict[str, Any]:
    """The entries of an evidence file, without those that say nothing."""
    content: dict[str, Any] = evidence.model_dump(
        mode="json", exclude_none=True, exclude={"sha256", "calibration"}
    )
    return content


def as_text(calibration: Calibration, evidence: Evidence) -> str:
    """The figures of a calibration and the fitted weights, as a table for people."""
    lines = [
        f"{calibration.n_slides} slides of {calibration.n_patients} patients; out of fold: each "
        "patient scored by weights fitted on others"
    ]
    for score in calibration.fitted:
        lines += [
            "",
            f"{score.change}: {score.n_with} patients with it, {score.n_without} without",
            *_aligned(
                [
                    ["", "AUC", "95 % interval", "Brier", "slope", "intercept", "accuracy"],
                    _figures("as in use", score.before),
                    _figures("calibrated, out of fold", score.after),
                ]
            ),
            *_aligned(
                [
                    ["", "prior", *score.weights],
                    [
                        "as in use",
                        f"{evidence.prior.of(score.change):.2f}",
                        *(f"{f.weight.of(score.change):.2f}" for f in evidence.families.values()),
                    ],
                    [
                        "calibrated",
                        f"{score.prior:.2f}",
                        *(f"{weight:.2f}" for weight in score.weights.values()),
                    ],
                ]
            ),
        ]
    return "\n".join(lines)


def _figures(name: str, found: Reliability) -> list[str]:
    def number(value: float | None) -> str:
        # and never -0.00
        return "-" if value is None else f"{round(value, 2) + 0.0:.2f}"

    return [
        name,
        f"{found.auc:.3f}",
        f"{found.auc_low:.3f} to {found.auc_high:.3f}",
        f"{found.brier:.3f}",
        number(found.slope),
        number(found.intercept),
        f"{found.accuracy:.2f}",
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
