"""``biopsy-ai evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biopsy_ai.cli.parsing import parse_mpp
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.cli.reporting import Debug, command, say

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    predicted: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTED",
            help="Label image, outlines (GeoJSON, RoiSet.zip), a result folder, or a folder of "
            "these. Example: results",
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH", help="The same for the true fibers. Example: truth/section.tif"
        ),
    ],
    mpp: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Pixel size of the truth in µm, one number or y,x; overrides the one in its file. "
            "Example: --mpp 0.5",
        ),
    ] = None,
    ignore: Annotated[
        Path | None,
        typer.Option(
            metavar="MASKS",
            help="Image or folder of masks that are not 0 where the truth is not known. "
            "Example: --ignore unlabeled.png",
        ),
    ] = None,
    ignore_border: Annotated[
        bool,
        typer.Option(
            "--ignore-border",
            help="Leave out fibers cut by the image border. "
            "Example: biopsy-ai evaluate a.tif b.tif --ignore-border",
        ),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="The truth holds only some of the fibers: judge recall, not precision. "
            "Example: biopsy-ai evaluate a.tif b.tif --partial",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the table as CSV too. Example: --out agreement.csv",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Show no progress. Example: biopsy-ai evaluate a.tif b.tif --quiet",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Tell how well predicted fibers agree with true ones.

    Prints one column per image and one for all pooled: fibers found at IoU 0.5 and 0.75, quality
    of the outlines, and agreement of area and minimal Feret diameter.
    """
    with command(debug=debug):
        from biopsy_ai.evaluation import evaluate_files
        from biopsy_ai.formats.tables import write_csv

        with StageBars(quiet=quiet) as bars:
            table = evaluate_files(
                predicted,
                truth,
                mpp=parse_mpp(mpp),
                ignore=ignore,
                border="ignore" if ignore_border else "keep",
                partial=partial,
                progress=bars,
            )
        for what in ("without_truth", "without_prediction"):
            for path in table.attrs[what]:
                say(f"{path}: not compared ({what.replace('_', ' ')})")
        for path in table.attrs["unused_masks"]:
            say(f"{path}: mask not used (no image of this name is compared)")
        for warning in table.attrs["warnings"]:
            say(f"warning: {warning}")
        if table["n_true_under_150_um2"].isna().all():
            say("Without a pixel size nothing is told in µm: give it with --mpp, such as --mpp 0.5")
        # Printed first: where the file cannot be written, the comparison is not lost.
        typer.echo(_as_text(table))
        if out is not None:
            write_csv(out, table)


def _as_text(table: pd.DataFrame) -> str:
    shown = table.set_index("image")
    if len(shown) == 2:
        # One image and "pooled" say the same.
        shown = shown.iloc[:1]
    columns = {
        name: ["" if value != value else f"{value:.4g}" for value in row]
        for name, row in zip(shown.index, shown.to_numpy(dtype=float), strict=True)
    }
    width = max(len(name) for name in shown.columns)
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    lines = ["  ".join([" " * width, *(name.rjust(widths[name]) for name in columns)])]
    for number, metric in enumerate(shown.columns):
        cells = (columns[name][number].rjust(widths[name]) for name in columns)
        lines.append("  ".join([metric.ljust(width), *cells]))
    return "\n".join(lines)
