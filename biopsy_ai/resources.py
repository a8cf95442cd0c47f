"""Models and sample slides that come with the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from biopsy_ai.errors import BiopsyError, ModelError, OutputError, SlideReadError

Kind = Literal["models", "sample_slides"]

_PACKAGE = Path(__file__).resolve().parent

_IN_CHECKOUT: dict[Kind, str] = {"models": "models", "sample_slides": "data/sample_slides"}

_ERROR: dict[Kind, type[BiopsyError]] = {"models": ModelError, "sample_slides": SlideReadError}


def bundled_folder(kind: Kind, package: Path = _PACKAGE) -> Path | None:
    """Find the folder that holds all bundled models or all sample slides.

    A wheel carries them inside the package. A checkout, and an editable install, which points
    to one, have them beside the package.

    Parameters
    ----------
    kind
        ``"models"`` or ``"sample_slides"``.
    package
        Folder of the installed package.

    Returns
    -------
    The folder, or ``None`` if the installation has none.
    """
    inside = package / "_bundled" / kind
    if inside.is_dir():
        return inside
    checkout = package.parent
    # Without this check a folder "models" of another package in site-packages would be taken.
    if (checkout / "pyproject.toml").is_file():
        beside = checkout / _IN_CHECKOUT[kind]
        if beside.is_dir():
            return beside
    return None


def bundled(kind: Kind, name: str, package: Path = _PACKAGE) -> Path:
    """Find one bundled model folder or sample file by name.

    Parameters
    ----------
    kind
        ``"models"`` or ``"sample_slides"``.
    name
        Name of the model folder, or file name of the sample, such as ``"muscle"``.
    package
        Folder of the installed package.

    Raises
    ------
    ModelError, SlideReadError
        If nothing of this name is bundled; the message lists what is.
    """
    folder = bundled_folder(kind, package)
    if folder is not None:
        path = folder / name
        if path.exists() and folder in path.parents and ".." not in path.parts:
            return path
    what = kind.replace("_", " ")
    names = sorted(entry.name for entry in _entries(kind, folder))
    known = f"bundled are {', '.join(names)}" if names else f"this installation has no {what}"
    raise _ERROR[kind](f"{name!r} is not among the bundled {what}; {known}")


def list_models() -> list[str]:
    """List the names of the bundled models, sorted."""
    return [entry.name for entry in _entries("models", bundled_folder("models"))]


def sample_slides() -> list[Path]:
    """List the bundled sample slides, sorted by name. They are synthetic."""
    return _entries("sample_slides", bundled_folder("sample_slides"))


def sample_fibers(slide: str | Path) -> Path:
    """Find the true fibers of a bundled sample slide, a label image of the same shape.

    Raises
    ------
    SlideReadError
        If the sample has no label image.
    """
    return bundled("sample_slides", f"truth/{Path(slide).stem}_fibers.tif")


def copy_samples(folder: str | Path) -> list[Path]:
    """Copy the sample slides, their true fibers and their README to `folder`.

    Returns
    -------
    The copied slides.

    Raises
    ------
    SlideReadError
        If this installation has no sample slides.
    OutputError
        If `folder` cannot be written.
    """
    source = bundled_folder("sample_slides")
    if source is None or not sample_slides():
        raise SlideReadError("this installation has no sample slides")
    folder = Path(folder)
    try:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the samples cannot be copied there ({error})") from error
    return [folder / path.name for path in sample_slides()]


def _entries(kind: Kind, folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if kind == "models":
        return sorted(entry.parent for entry in folder.glob("*/model.yaml"))
    return sorted(folder.glob("*.tif"))
