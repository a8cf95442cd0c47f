"""``biopsy-ai synthesize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.progress import StageBars
from biopsy_ai.cli.reporting import Debug, command


def synthesize(
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder for the sections. Example: --out synthetic"
        ),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="Condition: normal, acute_denervation, chronic_reinnervation, dystrophy, "
            "inflammatory, type2_atrophy, motor_neuron_loss, type_grouping or dermatomyositis. "
            "Example: --preset dystrophy"
        ),
    ] = "normal",
    stain: Annotated[
        str,
        typer.Option(
            help="he, trichrome (gomori), masson, sirius_red, atpase:9.4, atpase:4.6, atpase:4.3, "
            "nadh, sdh, cox or if. Example: --stain atpase:9.4"
        ),
    ] = "he",
    n: Annotated[int, typer.Option("--n", min=1, help="Number of sections. Example: --n 4")] = 1,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Section i is made from seed + i. Example: --seed 1"),
    ] = 1,
    size: Annotated[
        float,
        typer.Option(min=20, help="Side of the square field, µm. Example: --size 1500"),
    ] = 1000.0,
    mpp: Annotated[
        float, typer.Option(min=0.1, max=4, help="Pixel size, µm. Example: --mpp 0.5")
    ] = 0.5,
    severity: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="How much staining and scanning vary: 0 clean, 1 as in training. "
            "Example: --severity 0",
        ),
    ] = 0.5,
    channels: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Immunofluorescence: channels of the picture in their order, out of border, I, "
            "IIA, IIX (fiber types) and nuclei. Example: --channels border,I,IIA,IIX,nuclei",
        ),
    ] = "border",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress. Example: --quiet")
    ] = False,
    debug: Debug = False,
) -> None:
    """Make synthetic sections with exact truth.

    Each section is NAME.tif with its pixel size; the folder truth beside it holds the label images
    of fibers, nuclei and tissue, tables of fibers and nuclei, and every parameter.
    """
    with command(debug=debug), StageBars(quiet=quiet) as bars:
        import numpy as np

        from biopsy_ai.synthesis import (
            SectionParams,
            random_imaging,
            stain_name,
            synthesize_section,
        )
        from biopsy_ai.synthesis import preset as tissue_preset
        from biopsy_ai.synthesis.files import write_section

        tissue, stain = tissue_preset(preset), stain_name(stain)
        shown = tuple(name.strip() for name in channels.split(","))
        for i in range(n):
            imaging = random_imaging(np.random.default_rng(seed + i), stain, severity=severity)
            params = SectionParams(tissue, imaging, stain, (size, size), mpp, shown)
            section = synthesize_section(params, seed + i)
            name = f"{preset}_{stain.replace(':', '').replace('.', '')}_{seed + i}"
            path = write_section(section, out, name)
            bars("synthesize", i + 1, n)
            typer.echo(f"{path}: {len(section.fibers)} fibers")
