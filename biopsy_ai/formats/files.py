"""Writing results so that no half-written file ever stands under its final name."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from biopsy_ai.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name and give it its final name when it is complete.

    The temporary file stands in the same folder, has the same suffix, and is removed when
    the block fails or is interrupted.

    Parameters
    ----------
    path
        Final name. An existing file is replaced.

    Yields
    ------
    Path
        Name to write to.

    Raises
    ------
    OutputError
        The file cannot be written: no such folder, no permission, disk full.

    Examples
    --------
    >>> with replacing("results/summary.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")
    """
    final = Path(path)
    temporary = final.with_name(f".{secrets.token_hex(8)}.part{final.suffix}")
    try:
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be written. {_advice(error)}") from error
    finally:
        # after a successful replace there is nothing left to remove
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass


def output_folder(path: str | Path) -> Path:
    """Create a folder for results, with its parents, unless it exists.

    Raises
    ------
    OutputError
        The folder cannot be created, or nothing can be written into it.
    """
    folder = Path(path)
    probe = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise OutputError(
            f"{folder}: a file of this name stands where the results should go. "
            "Choose another folder with --out, or move the file."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be used as the folder for results. {_advice(error)}"
        ) from error
    return folder


def remove_result(path: str | Path) -> None:
    """Remove a result of an earlier run, if there is one.

    Raises
    ------
    OutputError
        The file exists and cannot be removed.
    """
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: the result of an earlier run cannot be replaced. {_advice(error)}"
        ) from error


def remove_unfinished(folder: str | Path) -> None:
    """Remove what a program that was killed left half-written in a folder; goes on if it cannot."""
    try:
        for path in Path(folder).glob(".*.part*"):
            path.unlink(missing_ok=True)
    except OSError:
        pass


def _advice(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason}: free some space, or choose a folder on another disk with --out."
    if error.errno == errno.EROFS:
        return f"{reason}: choose a folder that can be written to with --out."
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{reason}: close the program that has it open, ask for write permission, "
            "or choose another folder with --out."
        )
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
        return f"{reason}: choose a shorter or simpler folder name with --out."
    return f"{reason}: check the folder, or choose another one with --out."
