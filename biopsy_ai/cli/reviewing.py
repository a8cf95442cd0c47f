"""``biopsy-ai review``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.json_lines import Log, LogFormat, json_lines, progress_on
from biopsy_ai.cli.reporting import EXIT_FAILED, Debug, StopFile, command, say

log_of_module = logging.getLogger(__name__)

REVIEWS_STAGE = "reviews"
"""Stage under which it is told how many sections are done."""


def review(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS",
            help="Folders with the results of a section, or folders that hold such folders. "
            "Example: results",
        ),
    ],
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slide",
            metavar="FILE",
            help="Where the slide is now, if it was moved; only with one section. "
            "Example: --slide archive/section.svs",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only. Example: --quiet")
    ] = False,
    log: Log = LogFormat.TEXT,
    stop_file: StopFile = None,
    debug: Debug = False,
) -> None:
    """Write the results of reviewed sections again, from the log of each review.

    What a person corrected stands in review.jsonl beside the results of a section. This measures
    the corrected fibers and writes the folder reviewed anew, as the window does when it saves:
    after an update of biopsy-ai, say, or where a review was closed without saving. Nobody's
    corrections are changed. A section that nobody reviewed is skipped. Exit code: 0 all went well,
    1 some section could not be written or is under review in a window, 2 bad usage.
    """
    events = json_lines(log)
    with command(debug=debug, events=events, stop_file=stop_file):
        from biopsy_ai.errors import BiopsyError, Cancelled
        from biopsy_ai.review import Review, has_review

        folders = _sections(results)
        if slide is not None and len(folders) != 1:
            raise typer.BadParameter(
                f"goes with one section, and {len(folders)} are given", param_hint="'--slide'"
            )
        failed = 0
        with progress_on(events, quiet=quiet, counter=REVIEWS_STAGE) as bars:

            def report(folder: Path, state: str, text: str) -> None:
                bars.close()
                if events is not None:
                    events.write("section", name=folder.name, state=state, reason=text)
                elif state == "failed":
                    say(f"{folder.name}: failed: {text}")
                elif not quiet:
                    typer.echo(f"{folder.name}: {text}")

            for number, folder in enumerate(folders):
                bars(REVIEWS_STAGE, number, len(folders))
                if not has_review(folder):
                    report(folder, "skipped", "skipped, nobody reviewed it")
                    continue
                try:
                    with Review.open(folder, slide=slide) as opened:
                        made = opened.save(progress=bars)
                        n = int((~opened.history()["undone"].astype(bool)).sum())
                except Cancelled:
                    raise
                except BiopsyError as error:
                    failed += 1
                    report(folder, "failed", str(error))
                except Exception as error:
                    failed += 1
                    log_of_module.exception("%s failed unexpectedly", folder)
                    report(folder, "failed", f"unexpected error ({type(error).__name__}: {error})")
                else:
                    report(folder, "ok", f"{n} correction{'s' * (n != 1)} -> {made}")
        if failed:
            say(f"{failed} of {len(folders)} failed")
            raise typer.Exit(EXIT_FAILED)


def _sections(given: list[Path]) -> list[Path]:
    """Folders with the results of one section each."""
    from biopsy_ai.result_names import REVIEWED_FOLDER
    from biopsy_ai.review import has_review
    from biopsy_ai.saved import is_results

    def is_section(folder: Path) -> bool:
        # damaged results with a review are reported when their turn comes
        return is_results(folder) or has_review(folder)

    sections: dict[Path, None] = {}
    for path in given:
        if path.name == REVIEWED_FOLDER and has_review(path.parent):
            path = path.parent
        inside = [path] if is_section(path) else []
        if not inside and path.is_dir():
            inside = sorted(folder for folder in path.iterdir() if is_section(folder))
        if not inside:
            raise typer.BadParameter(
                f"{path} holds no results of a section", param_hint="'RESULTS'"
            )
        sections |= dict.fromkeys(inside)
    return list(sections)
