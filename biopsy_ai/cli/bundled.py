"""``biopsy-ai samples``: the sample slides that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.reporting import Debug, command


def samples(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Copy them to this folder; without it they are listed. Example: my_samples",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """List the bundled sample slides, or copy them with their true fibers.

    The samples are synthetic.
    """
    with command(debug=debug):
        from biopsy_ai.resources import copy_samples, sample_slides

        for path in sample_slides() if folder is None else copy_samples(folder):
            typer.echo(path)
