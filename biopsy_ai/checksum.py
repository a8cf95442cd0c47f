"""Checksums of files: how results name exactly what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """Hash a file with SHA-256; returns 64 hexadecimal digits.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(files: Iterable[Path], root: Path) -> str:
    """Hash several files together, each with its place below ``root``; in whatever order given.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    whole = hashlib.sha256()
    for place, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        whole.update(f"{place}\0{file_sha256(file)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
