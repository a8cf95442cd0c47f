"""Which files are slides, and what kind of file each one really is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from biopsy_ai.checksum import file_sha256, files_sha256
from biopsy_ai.errors import SlideReadError

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".qptiff")
WHOLE_SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".dcm", ".czi")
SUPPORTED_SUFFIXES = (".png", ".jpg", ".jpeg", *TIFF_SUFFIXES, *WHOLE_SLIDE_SUFFIXES, ".zarr")
"""Suffixes, in lower case, of the files that `find_slides` takes from a folder."""

OTHER_PICTURES = (".bmp", ".gif", ".webp", ".jp2", ".heic", ".lif", ".nd2", ".oib", ".oif", ".vsi")
"""Suffixes, in lower case, of images that cannot be read; a folder may hold some."""

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
    b"ZISRAWFILE": "czi",
}
_ZARR_METADATA = ("zarr.json", ".zgroup", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return path.is_dir() and any((path / name).is_file() for name in _ZARR_METADATA)


def sniff(path: Path) -> str:
    """Tell the kind of a file from its content, whatever its name.

    Returns
    -------
    str
        "png", "jpeg", "tiff", "dicom", "czi", "zarr", or "" where the content is none of these.

    Raises
    ------
    SlideReadError
        The file is missing, empty, a folder without an image, or cannot be opened.
    """
    if not path.exists():
        raise SlideReadError(f"{path}: there is no such file. Check the path.")
    if path.is_dir():
        if is_zarr(path):
            return "zarr"
        raise SlideReadError(f"{path}: this is a folder and no slide. Name a slide inside it.")
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError as error:
        raise SlideReadError(f"{path}: the file cannot be opened ({error.strerror}).") from error
    if not head:
        raise SlideReadError(f"{path}: the file is empty. Copy it again.")
    if head[128:132] == b"DICM":
        return "dicom"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def not_an_image(path: Path) -> SlideReadError:
    """Error for a file whose content is no image format known here."""
    return SlideReadError(
        f"{path}: this is no image that can be read here. Supported are PNG, JPEG, TIFF, OME-TIFF, "
        f"OME-Zarr and the slide formats {', '.join(WHOLE_SLIDE_SUFFIXES)}."
    )


def slide_name(path: Path) -> str:
    """File name without its suffix or suffixes (``a.ome.tif`` gives ``a``)."""
    name = path.name
    if Path(name).suffix.lower() in SUPPORTED_SUFFIXES:
        name = Path(name).stem
        if name.lower().endswith(".ome"):
            name = name[:-4]
    return name or path.name


def slide_files(path: Path) -> list[Path]:
    """List the files that a slide consists of.

    These are all files in the folder of an OME-Zarr image, the folder beside a ``.mrxs`` file, and
    the DICOM files of the same series; of other formats the file alone.
    """
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file()]
    if path.suffix.lower() == ".mrxs":
        return [path, *(file for file in path.with_suffix("").rglob("*") if file.is_file())]
    if not _is_dicom(path):
        return [path]
    from biopsy_ai.slides.openslide import dicom_series

    series = dicom_series(path)
    others = [other for other in path.parent.iterdir() if other.name != path.name]
    if series is None or not others:
        return [path]
    return [path, *(o for o in others if _is_dicom(o) and dicom_series(o) == series)]


def slide_sha256(path: Path) -> str:
    """SHA-256 of a slide, in hexadecimal; of all its files where it has several.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    files = slide_files(path)
    if files == [path]:
        return file_sha256(path)
    return files_sha256(files, path if path.is_dir() else path.parent)


def _is_dicom(path: Path) -> bool:
    try:
        return sniff(path) == "dicom"
    except SlideReadError:
        return False


def find_slides(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """List the slides among files and folders.

    A file is taken as it is, whatever its name. From a folder come the files, and OME-Zarr
    folders, with a suffix of a slide format, in alphabetical order; hidden ones are left out and
    sub-folders are not entered. DICOM files of one slide count once.

    Raises
    ------
    SlideReadError
        A path does not exist, or a folder holds no slide.
    """
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    found: dict[Path, None] = {}
    for path in map(Path, given):
        if not path.exists():
            raise SlideReadError(f"{path}: there is no such file or folder. Check the path.")
        if path.is_file() or is_zarr(path):
            found[path] = None
            continue
        try:
            entries = sorted(path.iterdir(), key=lambda entry: entry.name)
        except OSError as error:
            raise SlideReadError(
                f"{path}: the folder cannot be read ({error.strerror})."
            ) from error
        slides = _one_per_dicom_series([entry for entry in entries if _is_slide(entry)])
        if not slides:
            raise SlideReadError(
                f"{path}: the folder holds no slide. Supported are "
                f"{', '.join(SUPPORTED_SUFFIXES)}; sub-folders are not searched."
            )
        found.update(dict.fromkeys(slides))
    return list(found)


def find_other_pictures(folder: Path) -> list[Path]:
    """List the images in a folder that `find_slides` passes over since they cannot be read."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in OTHER_PICTURES)


def _is_slide(path: Path) -> bool:
    if path.name.startswith(".") or path.suffix.lower() not in SUPPORTED_SUFFIXES:
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() != ".zarr"


def _one_per_dicom_series(paths: list[Path]) -> list[Path]:
    """Drop all but the first file of each DICOM slide, whose levels are separate files."""
    if sum(path.suffix.lower() == ".dcm" for path in paths) < 2:
        return paths
    from biopsy_ai.slides.openslide import dicom_series

    kept, seen = [], set()
    for path in paths:
        series = dicom_series(path) if path.suffix.lower() == ".dcm" else None
        if series is None or series not in seen:
            kept.append(path)
        if series is not None:
            seen.add(series)
    return kept
