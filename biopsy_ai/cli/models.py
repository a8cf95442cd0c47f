"""``biopsy-ai models``: which models there are, what they are, whether they are whole; export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biopsy_ai.cli.reporting import EXIT_FAILED, Debug, command, epilog, say

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model

app = typer.Typer(
    name="models",
    help="List models, describe, check and export them. Without a command, list the bundled ones.",
    epilog=epilog("biopsy-ai models info muscle"),
    invoke_without_command=True,
    rich_markup_mode=None,
)

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name or folder of a model. Example: models/mine")
]


class Format(Enum):
    """What a model can be written as."""

    ONNX = "onnx"
    BIOIMAGEIO = "bioimageio"


@app.callback()
def models(context: typer.Context, debug: Debug = False) -> None:
    """List models, describe, check and export them. Without a command, list the bundled ones."""
    if context.invoked_subcommand is None:
        with command(debug=debug):
            from biopsy_ai.resources import bundled, list_models

            for name in list_models():
                typer.echo(f"{name}\t{bundled('models', name)}")


@app.command("list", epilog=epilog("biopsy-ai models list models"))
def list_all(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="List the models in this folder too. Example: models", show_default=False
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """List the bundled models, and your own in a folder: name, version, whether ready, folder."""
    with command(debug=debug):
        from biopsy_ai.errors import ModelError
        from biopsy_ai.resources import bundled, list_models
        from biopsy_ai.segmentation.model import SPEC_FILE, read_spec

        found = [bundled("models", name) for name in list_models()]
        if folder is not None:
            found += sorted(path.parent for path in folder.rglob(SPEC_FILE))
        for path in dict.fromkeys(each.resolve() for each in found):
            try:
                spec = read_spec(path / SPEC_FILE)
            except ModelError as error:
                say(f"Not a model: {error}")
                continue
            ready = "ready" if spec.get("ready", True) else "not ready"
            typer.echo(f"{spec['name']}\t{spec['version']}\t{ready}\t{path}")


@app.command(epilog=epilog("biopsy-ai models info muscle"))
def info(model: ModelName, debug: Debug = False) -> None:
    """Describe a model: what it draws, what it was trained on, and how good it is."""
    with command(debug=debug):
        from biopsy_ai.segmentation import load_model

        for line in _described(load_model(model)):
            typer.echo(line)


@app.command(epilog=epilog("biopsy-ai models verify models/mine"))
def verify(model: ModelName, debug: Debug = False) -> None:
    """Check that a model is whole, and that it outlines the bundled samples.

    The weights must be those that the model was saved with. Exit code 1 if something is wrong.
    """
    with command(debug=debug):
        from biopsy_ai.segmentation import load_model
        from biopsy_ai.segmentation.device import choose_device
        from biopsy_ai.training.held_out import count_slides, judged_samples

        loaded = load_model(model)
        typer.echo(f"weights\twhole, SHA-256 {loaded.weights_sha256}")
        samples = judged_samples()
        worst = 1.0
        for sample, counts in zip(
            samples, count_slides(loaded, samples, choose_device()), strict=True
        ):
            typer.echo(f"F1 on {sample.name}\t{counts.f1:.3f}")
            worst = min(worst, counts.f1)
        if loaded.warning:
            say(loaded.warning)
        if samples and not worst >= LEAST_F1:
            say("Error: this model does not outline the samples. Use another.")
            raise typer.Exit(EXIT_FAILED)


LEAST_F1 = 0.8
"""A model for muscle outlines each synthetic sample at least so well. [default]"""


@app.command(epilog=epilog("biopsy-ai models export muscle --out muscle.onnx"))
def export(
    model: ModelName,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="File to write. Example: --out m.onnx"),
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            help="onnx, or bioimageio for a package of bioimage.io; without it, by the name of the "
            "file. Example: --format bioimageio"
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a model for other programs: its network as ONNX, or a bioimage.io package.

    The steps from the maps of the network to single fibers are not part of it. Needs the extra
    "export".
    """
    with command(debug=debug):
        from biopsy_ai.segmentation import load_model

        chosen = format or (Format.BIOIMAGEIO if out.suffix.lower() == ".zip" else Format.ONNX)
        loaded = load_model(model)
        if chosen is Format.ONNX:
            from biopsy_ai.segmentation.onnx_graph import write_onnx

            write_onnx(loaded, out)
        else:
            from biopsy_ai.segmentation.bioimage_package import write_package

            write_package(loaded, out)
        if loaded.warning:
            say(loaded.warning)
        say(f"Written to {out}.")


def _described(model: Model) -> Iterator[str]:
    from biopsy_ai.learned_rules import rules_of
    from biopsy_ai.training.card import ancestry

    spec = model.spec
    yield f"name\t{model.name}"
    yield f"version\t{spec['version']}"
    yield f"folder\t{model.folder}"
    yield f"weights SHA-256\t{model.weights_sha256}"
    yield f"pixel size\t{model.working_mpp} µm"
    drawn = ["fibers", *(["nuclei"] * model.draws_nuclei), *(["tissue"] * model.draws_tissue)]
    yield f"draws\t{', '.join(drawn)}"
    yield f"ready\t{'yes' if spec.get('ready', True) else 'no'}"
    if "ready_reason" in spec:
        yield f"reason\t{spec['ready_reason']}"
    yield f"began from\t{(spec.get('start') or {}).get('name', 'random weights')}"
    # What the models before it learned from is in the weights, too.
    trained = {
        item["image"]: str(item.get("license") or "not stated")
        for part in ancestry(spec)
        for item in part.get("trained_on", [])
    }
    licenses = sorted(set(trained.values()))
    yield f"trained on\t{len(trained)} pictures ({', '.join(licenses) or 'none'})"
    comparison = spec.get("comparison") or {}
    for title, key in (("held-out slides", "held_out"), ("synthetic samples", "samples")):
        found = comparison.get(key)
        if found:
            values = [_interval(found[which]) for which in ("old", "new")]
            yield f"F1 on {found['n_slides']} {title}\told {values[0]}, new {values[1]}"
    rules = rules_of(spec)
    for limit, value in rules.limits.items():
        yield f"learned limit\t{limit} {value:g}"
    for stain, border in rules.types.items():
        yield f"learned border, {stain}\tslope {border.slope:g}, offset {border.offset:g}"
    if rules:
        yield f"rules\t{rules.source}"
    for name, score in (spec.get("tuning") or {}).items():
        yield f"F1 when tuned, {name.replace('_', ' ')}\t{score['f1_50']}"


def _interval(found: Mapping[str, Any]) -> str:
    if found.get("low") is None:
        return str(found["f1"])
    return f"{found['f1']} ({found['low']} to {found['high']})"
