"""What ``biopsy-ai analyze`` says of a sample sheet and of its blocks of serial sections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from biopsy_ai.cli.reporting import say

if TYPE_CHECKING:
    from biopsy_ai.cohort_sheet import BlockOutcome
    from biopsy_ai.serial.sample_sheet import SampleSheet

PLACE = "'SLIDE_OR_FOLDER'"


def find_sheet(given: list[Path], beside: dict[str, object]) -> SampleSheet | None:
    """Read the sample sheet if one is given in place of slides.

    Parameters
    ----------
    given
        Arguments of the command.
    beside
        Options that go with one slide, by name; None where not given.

    Raises
    ------
    typer.BadParameter
        If something is given that does not go with a sample sheet.
    ConfigError
        If the sheet cannot be used.
    """
    from biopsy_ai.serial.sample_sheet import SUFFIX, read_sample_sheet

    sheets = [path for path in given if path.suffix.lower() == SUFFIX and not path.is_dir()]
    if not sheets:
        return None
    if len(given) > 1:
        raise typer.BadParameter(
            f"{sheets[0]} is a sample sheet, which stands alone: name all slides in it",
            param_hint=PLACE,
        )
    for name, value in beside.items():
        if value is not None:
            raise typer.BadParameter(
                f"goes with one slide, and {sheets[0]} is a sample sheet", param_hint=f"'{name}'"
            )
    sheet = read_sample_sheet(sheets[0])
    if sheet.unknown:
        say(
            f"{sheets[0].name}: the columns {', '.join(sheet.unknown)} are none that biopsy-ai "
            "knows; they are kept in cohort.csv"
        )
    return sheet


def say_block(outcome: BlockOutcome, *, quiet: bool) -> None:
    """Print how well the sections of a block fit, or why they do not."""
    if not quiet:
        for pair in outcome.registration.get("pairs", ()):
            if pair["fits"]:
                typer.echo(f"block {outcome.name}: {pair_line(pair)}")
    if outcome.status == "failed":
        say(f"block {outcome.name}: failed: {outcome.reason}")
    elif not quiet:
        note = f" ({outcome.reason})" if outcome.status == "skipped" else ""
        found = outcome.registration
        said = [
            f"{found['n_fibers']} fibers, {found['n_fibers_in_all_sections']} of them in all "
            f"{len(found['sections'])} sections",
            *scored(found.get("score") or {}),
        ]
        typer.echo(f"block {outcome.name}: {', '.join(said)} -> {outcome.folder}{note}")


def scored(score: dict[str, Any]) -> list[str]:
    """Say the verdict and both scores, from the entry ``score`` of a summary; empty without one."""
    if not score:
        return []
    said = [str(score["verdict_text"])]
    for change in ("denervation", "myopathy"):
        found = score[change]
        if found["value"] is not None:
            low, high = found["low"], found["high"]
            said.append(f"{change} {found['value']:.0f} ({low:.0f} to {high:.0f})")
    return said


def pair_line(pair: dict[str, Any]) -> str:
    """Say how two sections lie on each other, from their entry in registration.json."""
    turned = f"turned by {pair['angle_deg']:.0f}°" + (", mirrored" if pair["mirrored"] else "")
    return (
        f"{pair['fixed']} + {pair['moving']}: {pair['n_matched']} fibers matched, "
        f"{100 * pair['matched_share']:.0f} % of those in both, median overlap "
        f"{pair['median_iou']:.2f}, residual {pair['residual_um']:.1f} µm, {turned}"
    )
