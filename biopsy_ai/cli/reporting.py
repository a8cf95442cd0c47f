"""How commands speak: messages on standard error, errors as one line and an exit code."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.cli.interruption import noting_interruption
from biopsy_ai.errors import BiopsyError, Cancelled, ConfigError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Print the traceback of an error, and the log. "
        "Example: biopsy-ai analyze section.svs --debug",
    ),
]


def epilog(example: str) -> str:
    """Build the last lines of a help screen from one example of a command."""
    return f"Example: {example}\n\n{RESEARCH_USE_ONLY}"


def say(text: str) -> None:
    """Print a message on standard error, which leaves standard output to results."""
    typer.echo(text, err=True)


@contextmanager
def command(*, debug: bool) -> Iterator[None]:
    """Set up a command, and turn errors inside it into one line and an exit code.

    Bad usage gives 2, any other error 1, an interruption 130.
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
        with noting_interruption():
            yield
    except (typer.Exit, typer.BadParameter):
        raise
    except (KeyboardInterrupt, Cancelled):
        say("Stopped. What was finished before is complete; nothing half-written is left.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, BiopsyError):
            say(f"Error: {error}")
        else:
            say(f"Unexpected error: {type(error).__name__}: {error}. --debug tells more.")
        code = EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
        raise typer.Exit(code) from None
