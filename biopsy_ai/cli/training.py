"""``biopsy-ai train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.json_lines import Log, LogFormat, json_lines, progress_on
from biopsy_ai.cli.reporting import Debug, StopFile, command, say
from biopsy_ai.training.settings import SECTIONS, TrainConfig


def train(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Model folder. Example: --out models/mine"),
    ],
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for rendered sections, checkpoints and logs; the same command goes on "
            "from there. Without it, the folder beside --out with -work after its name, such as "
            "models/mine-work. Example: --work runs/mine",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model. Example: --name mine")] = "mine",
    model_version: Annotated[
        str, typer.Option(help="Version of the model. Example: --model-version 2")
    ] = "1",
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="List of real images: image, mpp and license of each, and labels, nuclei, "
            "tissue, channel where it has them. "
            "Example: --real training.yaml",
        ),
    ] = None,
    development: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="The same for images on which thresholds are tuned. "
            "Example: --development development.yaml",
        ),
    ] = None,
    outlines: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="LABELS",
            help="Label image whose outlines some synthetic sections are laid out with; may be "
            "repeated. Example: --outlines fibers.tif",
        ),
    ] = None,
    outlines_license: Annotated[
        str | None,
        typer.Option(
            help="License of these label images, for the card. Example: --outlines-license MIT"
        ),
    ] = None,
    adipose: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURE",
            help="Picture of fat in H&E at 0.5 µm per pixel, as texture of some lobules of fat; "
            "may be repeated. Example: --adipose fat.jpg",
        ),
    ] = None,
    adipose_license: Annotated[
        str | None,
        typer.Option(
            help="License of these pictures, for the card. Example: --adipose-license MIT"
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Model to begin from, name or folder. Example: --start muscle"),
    ] = None,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads/--no-heads",
            help="Learn nuclei and tissue classes beside fibers. Example: --no-heads",
        ),
    ] = True,
    sections: Annotated[
        int, typer.Option(min=1, help="Synthetic sections to render. Example: --sections 1500")
    ] = SECTIONS,
    steps: Annotated[
        int, typer.Option(min=1, help="Training steps. Example: --steps 6000")
    ] = TrainConfig.steps,
    learning_rate: Annotated[
        float,
        typer.Option(min=0.0, help="Highest learning rate. Example: --learning-rate 0.001"),
    ] = TrainConfig.learning_rate,
    batch: Annotated[
        int, typer.Option(min=1, help="Crops per step. Example: --batch 8")
    ] = TrainConfig.batch,
    crop: Annotated[
        int,
        typer.Option(min=64, help="Side of a crop, pixels, a multiple of 64. Example: --crop 384"),
    ] = TrainConfig.crop_px,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that prepare crops. Example: --workers 4")
    ] = TrainConfig.workers,
    seed: Annotated[int, typer.Option(min=0, help="Seed. Example: --seed 0")] = TrainConfig.seed,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps. Example: --device cuda")
    ] = "auto",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress. Example: --quiet")
    ] = False,
    log: Log = LogFormat.TEXT,
    stop_file: StopFile = None,
    debug: Debug = False,
) -> None:
    """Train a model on synthetic sections and real images.

    Renders the sections, trains, tunes the thresholds, and writes the model folder with its card.
    Needs the extra "train".
    """
    events = json_lines(log)
    with (
        command(debug=debug, events=events, stop_file=stop_file),
        progress_on(events, quiet=quiet) as bars,
    ):
        from biopsy_ai.errors import ConfigError

        if crop % 64:
            raise ConfigError(f"--crop {crop}: choose a multiple of 64")
        try:
            import tensorboard  # noqa: F401
            import torchvision  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"training needs {error.name}: pip install 'biopsy-ai[train]'"
            ) from error
        from biopsy_ai.training import train_model

        config = TrainConfig(
            steps=steps,
            learning_rate=learning_rate,
            batch=batch,
            crop_px=crop,
            workers=workers,
            seed=seed,
        )
        folder = train_model(
            out,
            name=name,
            work=work,
            config=config,
            sections=sections,
            real=real,
            development=development,
            outline_files=tuple(outlines or ()),
            outlines_license=outlines_license,
            adipose=tuple(adipose or ()),
            adipose_license=adipose_license,
            start=start,
            heads=heads,
            device=device,
            version=model_version,
            progress=bars,
        )
        say(f"Model written to {folder}.")
