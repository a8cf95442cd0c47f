"""The command ``biopsy-ai``: parse, call, print. Heavy packages are imported inside commands."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from biopsy_ai import RESEARCH_USE_ONLY, __version__
from biopsy_ai.cli import (
    analysis,
    bundled,
    calibration,
    collecting,
    evaluation,
    models,
    reviewing,
    synthesis,
    training,
    viewer,
)
from biopsy_ai.cli.reporting import epilog

app = typer.Typer(
    name="biopsy-ai",
    help="Outline and measure the fibers of skeletal muscle biopsies.",
    epilog=epilog("biopsy-ai analyze section.svs --out results"),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(epilog=epilog("biopsy-ai analyze slides/ --out results --mpp 0.5 --stain he"))(
    analysis.analyze
)
app.command(epilog=epilog("biopsy-ai evaluate results/section/fibers.tif truth.tif"))(
    evaluation.evaluate
)
app.command(
    epilog=epilog("biopsy-ai calibrate results/cohort.csv --labels labels.csv --out mine.yaml")
)(calibration.calibrate)
app.command(epilog=epilog("biopsy-ai collect results"))(collecting.collect)
app.command(epilog=epilog("biopsy-ai review results"))(reviewing.review)
app.command(epilog=epilog("biopsy-ai synthesize --preset dystrophy --stain he --n 4 --out DIR"))(
    synthesis.synthesize
)
app.command(epilog=epilog("biopsy-ai train my_slides --from muscle --out models/mine"))(
    training.train
)
app.command(epilog=epilog("biopsy-ai gui section.svs"))(viewer.gui)
app.command(epilog=epilog("biopsy-ai samples my_samples"))(bundled.samples)
app.add_typer(models.app)


def main() -> NoReturn:
    """Run the command line; the entry point of ``biopsy-ai``."""
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot show µ or the letters of a file name must not end the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
    raise SystemExit(0)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biopsy-ai {__version__}\n{RESEARCH_USE_ONLY}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit. Example: biopsy-ai --version",
        ),
    ] = False,
) -> None:
    pass
