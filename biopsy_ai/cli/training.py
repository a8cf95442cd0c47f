"""``biopsy-ai train``: a new model, or one that goes on learning from a user's own slides."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from biopsy_ai.cli.json_lines import Log, LogFormat, json_lines, progress_on
from biopsy_ai.cli.reporting import Debug, StopFile, command, say
from biopsy_ai.training.settings import (
    FINE_SECTIONS,
    FINE_TUNING,
    LEARN,
    SECTIONS,
    TrainConfig,
)


def train(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATASET]",
            help="Your own slides to go on learning from: a folder that reviews were exported to, "
            "a folder with pictures and labels by name (a.tif with a_fibers.tif, a_masks.png, "
            "a_seg.npy, a.geojson, a_RoiSet.zip, or a COCO file), or a list such as "
            "training.yaml. Without it a new model is trained. Example: my_slides",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Model folder. Example: --out models/mine"),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for rendered sections, checkpoints and logs; the same command goes on "
            "from there. Without it, the folder beside --out with -work after its name, such as "
            "models/mine-work. Example: --work runs/mine",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model; without it that of its folder. Example: --name mine"),
    ] = None,
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
        typer.Option(
            "--from",
            "--start",
            help="Model to begin from, name or folder; muscle for DATASET. Example: --from muscle",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            help="With DATASET: pixel size of the pictures, µm, where their files do not say it. "
            "Example: --mpp 0.5"
        ),
    ] = None,
    stain: Annotated[
        str, typer.Option(help="With DATASET: stain of the pictures. Example: --stain he")
    ] = "auto",
    channels: Annotated[
        str,
        typer.Option(
            help="With DATASET: the channel with the fiber border, for immunofluorescence. "
            "Example: --channels border=3"
        ),
    ] = "",
    license: Annotated[
        str,
        typer.Option(
            help="With DATASET: license of the pictures, for the card. Example: --license CC-BY"
        ),
    ] = "not stated",
    partly: Annotated[
        bool,
        typer.Option(
            "--partly",
            help="With DATASET: only some fibers are labelled; nothing is learned away from them. "
            "Example: --partly",
        ),
    ] = False,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With DATASET: picture, slide or patient to judge on; may be repeated. Without "
            "it a quarter is chosen. Example: --held-out slide_07",
        ),
    ] = None,
    learn: Annotated[
        str,
        typer.Option(
            help="With DATASET: what goes on learning: outlines, the network; rules, by which "
            "conditions and types are told, where reviews were exported; or both. With rules "
            "alone the network stays as it is, and it takes seconds. Example: --learn rules",
        ),
    ] = ",".join(LEARN),
    skip_problems: Annotated[
        bool,
        typer.Option(
            "--skip-problems",
            help="With DATASET: leave out pictures with problems. Example: --skip-problems",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="With DATASET: write over the model in --out. Example: --overwrite",
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="With DATASET: check it and train nothing. Example: --check"),
    ] = False,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads/--no-heads",
            help="Learn nuclei and tissue classes beside fibers. Example: --no-heads",
        ),
    ] = True,
    only: Annotated[
        str,
        typer.Option(
            help="Without DATASET: let one part of the model in --start learn, nuclei or tissue, "
            "and leave all else, the outlines of fibers too, as it is. Example: --only tissue"
        ),
    ] = "",
    sections: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Synthetic sections to render; {SECTIONS}, or {FINE_SECTIONS} with DATASET. "
            "Example: --sections 1500",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Training steps; {TrainConfig.steps}, or {FINE_TUNING.steps} with DATASET. "
            "Example: --steps 6000",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help=f"Highest learning rate; {TrainConfig.learning_rate}, or "
            f"{FINE_TUNING.learning_rate} with DATASET. Example: --learning-rate 0.001",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Crops per step. Example: --batch 8")
    ] = TrainConfig.batch,
    crop: Annotated[
        int,
        typer.Option(min=64, help="Side of a crop, pixels, a multiple of 64. Example: --crop 384"),
    ] = TrainConfig.crop_px,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"Processes that prepare crops; {TrainConfig.workers}, or {FINE_TUNING.workers} "
            "with DATASET. Example: --workers 4",
        ),
    ] = None,
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
    """Train a model, or let one go on learning from your own slides.

    With DATASET, the data are checked, whole patients or slides are held out, and the new model
    is compared with the old one on them: it is marked ready only if it is not worse, and has
    forgotten nothing. Takes minutes on two cores. Rules of conditions and types go on learning
    from reviews, too, and each is judged by itself.

    Without, renders sections, trains on them and on real images, tunes the thresholds, and writes
    the model folder with its card. Takes hours. Needs the extra "train".
    """
    events = json_lines(log)
    with (
        command(debug=debug, events=events, stop_file=stop_file),
        progress_on(events, quiet=quiet) as bars,
    ):
        from biopsy_ai.errors import ConfigError

        if crop % 64:
            raise ConfigError(f"--crop {crop}: choose a multiple of 64")
        usual, usual_sections = (
            (TrainConfig(), SECTIONS) if dataset is None else (FINE_TUNING, FINE_SECTIONS)
        )
        config = replace(
            usual,
            steps=steps or usual.steps,
            learning_rate=usual.learning_rate if learning_rate is None else learning_rate,
            batch=batch,
            crop_px=crop,
            workers=usual.workers if workers is None else workers,
            seed=seed,
            only=only,
        )
        if dataset is None:
            own = {
                "--mpp": mpp,
                "--channels": channels,
                "--partly": partly,
                "--held-out": held_out,
                "--learn": learn != ",".join(LEARN),
                "--skip-problems": skip_problems,
                "--overwrite": overwrite,
                "--check": check,
            }
            if given := [option for option, value in own.items() if value]:
                raise ConfigError(f"{', '.join(given)}: only with DATASET, your own slides")
            _needs("tensorboard", "torchvision")
            from biopsy_ai.training import train_model

            folder = train_model(
                _given(out),
                name=name or "mine",
                work=work,
                config=config,
                sections=sections or usual_sections,
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
            return
        new = {
            "--real": real,
            "--development": development,
            "--outlines": outlines,
            "--adipose": adipose,
            "--no-heads": not heads,
            "--only": only,
        }
        if given := [option for option, value in new.items() if value]:
            raise ConfigError(f"{', '.join(given)}: not with DATASET, only for a new model")
        from biopsy_ai.cli.retraining import Teller, check_only
        from biopsy_ai.training.collection import ItemOptions

        options = ItemOptions(mpp, _border(channels), stain, license, partly)
        teller = Teller(events, bars, skip_problems=skip_problems)
        learned = _learned(learn)
        if check:
            check_only(
                dataset,
                options,
                held_out or (),
                start,
                seed,
                bars,
                teller,
                skip_problems=skip_problems,
                outlines="outlines" in learned,
            )
            return
        common: dict[str, Any] = {
            "start": start or "muscle",
            "name": name,
            "version": model_version,
            "options": options,
            "held_out": held_out or (),
            "skip_problems": skip_problems,
            "overwrite": overwrite,
            "told": teller.dataset,
        }
        if "outlines" in learned:
            _needs("torchvision")
            from biopsy_ai.training.retraining import retrain

            made = retrain(
                dataset,
                _given(out),
                work=work,
                config=config,
                sections=sections or usual_sections,
                rules="rules" in learned,
                device=device,
                report=teller.step,
                progress=bars,
                **common,
            )
        else:
            from biopsy_ai.training.relearning import relearn_rules

            made = relearn_rules(dataset, _given(out), seed=seed, **common)
        teller.model(made)


def _given(out: Path | None) -> Path:
    from biopsy_ai.errors import ConfigError

    if out is None:
        raise ConfigError("--out is missing: name a folder for the model, such as models/mine")
    return out


def _learned(text: str) -> set[str]:
    from biopsy_ai.errors import ConfigError

    learned = {part.strip() for part in text.split(",")}
    if not learned <= set(LEARN):
        raise ConfigError(f"--learn {text}: choose {', '.join(LEARN)}, or {','.join(LEARN)}")
    return learned


def _needs(*packages: str) -> None:
    """Refuse what needs a package that is not installed."""
    from biopsy_ai.errors import ConfigError

    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f"training needs {package}: pip install 'biopsy-ai[train]'")


def _border(channels: str) -> int | None:
    from biopsy_ai.config import read_channels
    from biopsy_ai.errors import ConfigError

    if not channels:
        return None
    named = read_channels(channels)
    if set(named) != {"border"}:
        raise ConfigError(f"--channels {channels}: training takes the border alone: border=3")
    return named["border"]
