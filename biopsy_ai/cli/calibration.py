"""``biopsy-ai calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.reporting import Debug, command, say


def calibrate(
    cohort: Annotated[
        Path,
        typer.Argument(
            metavar="COHORT",
            help="The cohort.csv that analyze wrote, beside the results. "
            "Example: results/cohort.csv",
        ),
    ],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="CSV with the columns slide or folder, label (normal, denervation, myopathy or "
            "mixed) and, if one patient has several slides, patient. Example: --labels labels.csv",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Evidence file to write, for --evidence of analyze. "
            "Example: --out evidence_mine.yaml",
        ),
    ],
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="FILE",
            help="The evidence file that the slides were scored with; that of biopsy-ai if not "
            "given. Example: --evidence evidence.yaml",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            metavar="NUMBER",
            help="Divides the patients into folds. Example: --seed 1",
        ),
    ] = 0,
    debug: Debug = False,
) -> None:
    """Fit the scores to a cohort whose changes are known.

    Reads the scores of analyzed slides, weighs the families of evidence anew, and prints how good
    the scores are on patients that were not fitted on, before and after. At least 10 patients with
    a change and 10 without are needed for its score. All slides of a patient are kept together.
    """
    with command(debug=debug):
        from biopsy_ai.errors import ConfigError
        from biopsy_ai.score import load_evidence
        from biopsy_ai.score.calibrated_evidence import as_text, write_evidence
        from biopsy_ai.score.calibration import calibrate as fit
        from biopsy_ai.score.labeled_cohort import read_labeled_cohort

        inputs = [cohort, labels, *([] if evidence is None else [evidence])]
        if out.resolve() in [path.resolve() for path in inputs]:
            raise ConfigError(f"{out}: would replace a file that is read; give another --out")
        in_use = load_evidence(evidence)
        found = fit(read_labeled_cohort(cohort, labels, in_use), in_use, seed=seed)
        # Printed first: where the file cannot be written, the figures are not lost.
        typer.echo(as_text(found, in_use))
        for note in found.notes:
            say(f"note: {note}")
        write_evidence(out, evidence, in_use, found)
        typer.echo(f"-> {out}")
