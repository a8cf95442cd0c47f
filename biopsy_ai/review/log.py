"""The file that every correction is written to before it counts: one line each, never rewritten.

The first line says which outlines the log belongs to. A line that was not written to its end,
because the program or the computer died, is cut off when the log is opened again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

from biopsy_ai import __version__
from biopsy_ai.errors import ReviewError
from biopsy_ai.review.entry import Entry, read_entry

LOG_FILE = "review.jsonl"
"""Name of the log among the results of one section."""

FORMAT, FORMAT_VERSION = "biopsy-ai review", 1

_BEGIN = json.dumps({"format": FORMAT}).encode("ascii")[:-1]
"""What every log begins with."""

MAX_LOG_BYTES = 2 << 30
"""A log of more bytes is refused rather than read: a million corrections take less."""


def has_review(folder: str | Path) -> bool:
    """Tell whether a person corrected the results in a folder.

    A log that cannot be read counts as one: results must not be replaced because of it.
    """
    path = Path(folder) / LOG_FILE
    try:
        with open(path, "rb") as file:
            file.readline()
            return file.readline().endswith(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True


class ReviewLog:
    """The log of a section, open for more.

    The file is made with the first entry.

    Parameters
    ----------
    folder
        With the results.
    fibers_sha256
        Hash of the label image that the log must belong to.

    Attributes
    ----------
    entries
        All that was read and added, in order.

    Raises
    ------
    ReviewError
        If the log belongs to other outlines, is of a later version of biopsy-ai, or is damaged
        before its last line. It is left as it is then.
    """

    def __init__(self, folder: Path, fibers_sha256: str) -> None:
        self.path = folder / LOG_FILE
        self.fibers_sha256 = fibers_sha256
        self.entries: list[Entry] = []
        self._file: IO[bytes] | None = None
        self._broken = False
        content = self._read()
        self._length = len(content)
        self._hash = hashlib.sha256(content)

    @property
    def sha256(self) -> str:
        """Hash of what the file holds."""
        return self._hash.hexdigest()

    @property
    def next_seq(self) -> int:
        return len(self.entries) + 1

    def append(self, entry: Entry) -> None:
        """Write an entry; when this returns, it is on the disk.

        Raises
        ------
        ReviewError
            If it cannot be written; the log then holds what it held before.
        """
        if self._broken:
            raise ReviewError(f"{self.path}: can no longer be written. Open the section again.")
        line = entry.to_line()
        if not self._length:
            line = self._header() + line
        is_new = self._length == 0
        try:
            if self._file is None:
                self._file = self._open()
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            self._take_back()
            raise ReviewError(
                f"{self.path}: the change cannot be saved and was not made "
                f"({error.strerror or error}). Free some space or ask for write permission."
            ) from error
        except BaseException:
            self._take_back()
            raise
        self._length += len(line)
        self._hash.update(line)
        self.entries.append(entry)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._broken = True

    def _open(self) -> IO[bytes]:
        """Open the file where its whole lines end."""
        # without a buffer: what a write does not take must not come later
        file = open(self.path, "ab", buffering=0)
        try:
            file.truncate(self._length)
        except BaseException:
            file.close()
            raise
        return file

    def _take_back(self) -> None:
        """Cut off what was written of an entry that failed."""
        try:
            if self._file is not None:
                self._file.truncate(self._length)
        except OSError:
            # what stands there is no whole line, and is cut off when the log is opened again
            self.close()

    def _header(self) -> bytes:
        # what makes this file a review log stands first, where also a torn line shows it
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "biopsy_ai_version": __version__,
            "fibers_sha256": self.fibers_sha256,
        }
        return json.dumps(header).encode("ascii") + b"\n"

    def _read(self) -> bytes:
        """Read the entries; gives the whole lines of the file."""
        try:
            if self.path.stat().st_size > MAX_LOG_BYTES:
                raise ReviewError(f"{self.path}: is too large for a review log. Move it away.")
            content = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ReviewError(
                f"{self.path}: cannot be read ({error.strerror or error}). Ask for the permission "
                "to read it."
            ) from error
        *lines, torn = (line + b"\n" for line in content.split(b"\n"))
        if not lines:
            self._check_torn(torn[:-1])
            return b""
        self._check_header(lines[0])
        for number, line in enumerate(lines[1:], start=1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                if number == len(lines) - 1:
                    # a computer that loses its power may leave a line of other bytes behind
                    lines.pop()
                    break
                value = None
            try:
                entry = read_entry(value)
                if entry.seq != number:
                    raise ValueError(f"it has the number {entry.seq} in place of {number}")
            except ValueError as error:
                raise ReviewError(
                    f"{self.path}: line {number + 1} is damaged ({error}). Put a copy of the log "
                    "back, or move it away to review the section from the start."
                ) from error
            self.entries.append(entry)
        return b"".join(lines)

    def _check_torn(self, begun: bytes) -> None:
        """Refuse a file without one whole line, unless it is the beginning of a log."""
        if begun.strip(b"\0") and not self._header().startswith(begun[: len(_BEGIN)]):
            raise ReviewError(
                f"{self.path}: is no review log of biopsy-ai. Move it away to review the section."
            )

    def _check_header(self, line: bytes) -> None:
        try:
            header: Any = json.loads(line)
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise ReviewError(
                f"{self.path}: is no review log of biopsy-ai. Move it away to review the section."
            )
        if header.get("version") != FORMAT_VERSION:
            raise ReviewError(
                f"{self.path}: was written by biopsy-ai {header.get('biopsy_ai_version')}, which "
                "this version cannot read. Update biopsy-ai."
            )
        if header.get("fibers_sha256") != self.fibers_sha256:
            raise ReviewError(
                f"{self.path}: belongs to other outlines than those in {self.path.parent}: the "
                "section was analyzed again after it was reviewed. Put the outlines that were "
                "reviewed back, or move the log away to review these from the start."
            )


def _sync_folder(folder: Path) -> None:
    """Make sure that the name of a new file is on the disk, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
