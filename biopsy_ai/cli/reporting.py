"""How commands speak: messages on standard error, errors as one line and an exit code."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.cli.interruption import noting_interruption
from biopsy_ai.errors import BiopsyError, Cancelled, ConfigError

if TYPE_CHECKING:
    from biopsy_ai.cli.json_lines import JsonLines

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Print the traceback of an error, and the log. Example: biopsy-ai COMMAND ... --debug",
    ),
]

StopFile = Annotated[
    Path | None,
    typer.Option(
        "--stop-file",
        metavar="FILE",
        help="Stop, as with Ctrl-C, once this file is there. Example: --stop-file results/stop",
    ),
]


def epilog(example: str) -> str:
    """Build the last lines of a help screen from one example of a command."""
    return f"Example: {example}\n\n{RESEARCH_USE_ONLY}"


def say(text: str) -> None:
    """Print a message on standard error, which leaves standard output to results."""
    typer.echo(text, err=True)


@contextmanager
def command(
    *, debug: bool, events: JsonLines | None = None, stop_file: Path | None = None
) -> Iterator[None]:
    """Set up a command, and turn errors inside it into one line and an exit code.

    Bad usage gives 2, any other error 1, an interruption 130.

    Parameters
    ----------
    debug
        Print the traceback of an error, and the log.
    events
        Where errors are told too, if another program listens.
    stop_file
        The command stops, as with Ctrl-C, once this file is there.
    """
    log = logging.getLogger("biopsy_ai")
    if debug:
        logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
        log.setLevel(logging.DEBUG)
    elif not log.handlers:
        # What the user must know is reported by the command itself.
        log.addHandler(logging.NullHandler())
    say(RESEARCH_USE_ONLY)
    try:
        with noting_interruption(stop_file), events or nullcontext():
            yield
    except typer.Exit:
        raise
    except typer.BadParameter as error:
        if events is not None:
            events.write("error", message=f"{error.param_hint or ''} {error.message}".strip())
        raise
    except (KeyboardInterrupt, Cancelled):
        # Python takes an interruption of code that it runs from text, as it does to make a
        # dataclass, for one that nobody caught, and would end by a signal: more of it clears that.
        exec("")
        say("Stopped. What was finished before is complete; nothing half-written is left.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, BiopsyError):
            said = str(error)
            say(f"Error: {said}")
        else:
            said = f"Unexpected error: {type(error).__name__}: {error}."
            say(f"{said} --debug tells more.")
        if events is not None:
            events.write("error", message=said)
        code = EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
        raise typer.Exit(code) from None
