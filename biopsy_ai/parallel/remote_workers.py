"""Workers of a scheduler that runs elsewhere: reached, and checked before they get a slide."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from biopsy_ai import __version__
from biopsy_ai.errors import ClusterError, OutputError
from biopsy_ai.formats.files import output_folder

log = logging.getLogger(__name__)

ANSWER_S = 20
"""How long a scheduler may take to answer. [default]"""


@contextmanager
def remote_client(scheduler: str) -> Iterator[Any]:
    """Give a `distributed.Client` of a running scheduler.

    Raises
    ------
    ClusterError
        If it does not answer.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterError(
            f"{scheduler}: no Dask scheduler answers there ({error}). Start one with 'dask "
            "scheduler', and give the address that it prints, such as tcp://10.0.0.1:8786."
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=ANSWER_S)


def misfits(
    client: Any, workers: Sequence[str], out: Path, paths: Sequence[Path]
) -> dict[str, str]:
    """Say what is wrong with workers: another biopsy-ai, or other files than here.

    Parameters
    ----------
    client
        Of their scheduler.
    workers
        Their addresses.
    out
        Folder for the results, which they must be able to write to.
    paths
        Slides; only those that are seen here must be seen there.

    Returns
    -------
    dict
        What is wrong, in words, by address; those that fit are not in it.
    """
    folders = {path.resolve().parent: path.resolve() for path in paths if path.exists()}
    token = out.resolve() / f".{secrets.token_hex(8)}.part"
    output_folder(out)
    try:
        token.touch()
    except OSError as error:
        raise OutputError(f"{out}: cannot be written to ({error.strerror}).") from error
    try:
        ask = _question([str(path) for path in folders.values()], str(token))
        answers = client.run(ask, workers=list(workers), on_error="return")
    finally:
        token.unlink(missing_ok=True)
    found = {address: _complaint(answer, out) for address, answer in answers.items()}
    return {address: complaint for address, complaint in found.items() if complaint}


def _question(slides: list[str], token: str) -> Callable[[], dict[str, Any]]:
    # A function inside a function goes to the worker whole, so that one without biopsy-ai, or
    # with another version of it, can answer.
    def ask() -> dict[str, Any]:
        import os
        from importlib.metadata import PackageNotFoundError, version

        try:
            import biopsy_ai

            installed = biopsy_ai.__version__
        except ImportError:
            try:
                installed = version("biopsy-ai")
            except PackageNotFoundError:
                installed = ""
        return {
            "version": installed,
            "missing": [path for path in slides if not os.path.exists(path)],
            "writes": os.path.exists(token) and os.access(os.path.dirname(token), os.W_OK),
        }

    return ask


def _complaint(answer: Any, out: Path) -> str:
    if isinstance(answer, BaseException):
        return f"it does not answer ({type(answer).__name__}: {answer})"
    if not answer["version"]:
        return f"biopsy-ai is not installed there. Install version {__version__}"
    if answer["version"] != __version__:
        return (
            f"biopsy-ai {answer['version']} is installed there, and {__version__} here. Install "
            "the same version on both"
        )
    if answer["missing"]:
        return (
            f"it does not see {answer['missing'][0]}. Slides must be in a folder that all workers "
            "reach under the same path"
        )
    if not answer["writes"]:
        return (
            f"it cannot write to {out.resolve()}. Results must go to a folder that all workers "
            "reach under the same path"
        )
    return ""
