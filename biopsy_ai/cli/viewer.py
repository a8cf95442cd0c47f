"""``biopsy-ai gui``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.reporting import Debug, command, say
from biopsy_ai.errors import ConfigError

HOW_TO_INSTALL = "pip install 'biopsy-ai[gui]'"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
"""Environment variables of which Linux has one where there is a screen."""


def gui(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SLIDE_OR_RESULTS",
            show_default=False,
            help="Slides and results folders of sections to open. "
            "Example: section.svs results/section",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Open slides and results in napari, to analyze, review and score them.

    Needs the extra "gui": pip install 'biopsy-ai[gui]'
    """
    with command(debug=debug):
        wanted = [path.absolute() for path in paths or []]
        missing = [str(path) for path in wanted if not path.exists()]
        if missing:
            raise typer.BadParameter(
                f"not there: {', '.join(missing)}", param_hint="'SLIDE_OR_RESULTS'"
            )
        if sys.platform.startswith("linux") and not any(map(os.environ.get, DISPLAYS)):
            raise ConfigError(
                "there is no screen to open a window on. Run this on a desktop, or with a display "
                "of its own: xvfb-run biopsy-ai gui"
            )
        # an idle window would not notice that it is to end; what was edited is saved already
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            from napari_plugin.start import start

            start(wanted, on_open=lambda: say("The window is open. Ctrl-C here closes it."))
        except ImportError as error:
            raise ConfigError(f"the viewer needs napari ({error}): {HOW_TO_INSTALL}") from error
