"""Cellpose's ``_seg.npy``: a pickle, read without running anything that stands in it."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.outline_files import MAX_BYTES

SEG_SUFFIX = "_seg.npy"
"""How the names of these files end."""

MAGIC = b"\x93NUMPY"

ADVICE = "Save the masks from Cellpose as TIFF or PNG instead (File > Save masks)."

_KINDS = "biuf"
"""Kinds of numbers that an array may hold."""


def read_seg_masks(path: str | Path) -> NDArray[np.int32]:
    """Read the masks of a ``_seg.npy``.

    The file is a pickle, and a pickle may run any program when it is opened. Here it can only
    give plain values and arrays of numbers; where it asks for anything else, it is refused.

    Returns
    -------
    (H, W) ndarray of int32
        As numbered in the file; 0 is background.

    Raises
    ------
    OutlineReadError
        The file is damaged, holds no masks of one plane, or asks for more than numbers.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OutlineReadError(f"{path}: larger than {MAX_BYTES >> 30} GiB. {ADVICE}")
        content = _unpickled(path.read_bytes(), path)
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    masks = content.get("masks") if isinstance(content, dict) else None
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "iu":
        raise OutlineReadError(f"{path}: holds no masks of Cellpose. {ADVICE}")
    masks = np.squeeze(masks)
    if masks.ndim != 2:
        raise OutlineReadError(
            f"{path}: holds masks of {masks.ndim} dimensions, not of one plane. {ADVICE}"
        )
    if masks.size and (masks.min() < 0 or masks.max() > np.iinfo(np.int32).max):
        raise OutlineReadError(f"{path}: holds labels that are no numbers of fibers. {ADVICE}")
    return masks.astype(np.int32)


def _unpickled(data: bytes, path: Path) -> Any:
    """The one object of a ``.npy`` file that holds one."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(stream)
        if dtype != np.dtype(object) or shape != ():
            return None
        content = _Plain(stream).load()
        return content.array().item() if isinstance(content, _Array) else None
    except _Forbidden as error:
        raise OutlineReadError(
            f"{path}: asks for {error}, which is no number, and opening it could run a program. "
            f"It is not read. {ADVICE}"
        ) from error
    except Exception as error:
        # damaged pickles raise errors of every kind
        raise OutlineReadError(f"{path}: is damaged ({error}). {ADVICE}") from error


class _Forbidden(Exception):
    """A pickle asks for something that is not among the plain values."""


class _Plain(pickle.Unpickler):
    """Gives numbers, texts, containers and arrays of numbers; refuses all else.

    Where a pickle names a function of numpy, it gets a stand-in that only collects what an array
    is made of, so that not even numpy works on anything that was not checked.
    """

    def find_class(self, module: str, name: str) -> Any:
        place = module.replace("numpy.core", "numpy._core")
        stand_in = _STAND_INS.get((place, name))
        if stand_in is None:
            raise _Forbidden(f"{module}.{name}")
        return stand_in

    def persistent_load(self, pid: Any) -> Any:
        raise _Forbidden(f"the outside object {pid!r}")


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])

    def dtype(self) -> np.dtype[Any]:
        if self.code[:1] == "O":
            return np.dtype(object)
        order = self.order if self.order in "<>" else "="
        dtype = np.dtype(f"{order}{self.code}") if self.code[:1] in _KINDS else None
        if dtype is None or dtype.kind not in _KINDS:
            raise ValueError(f"an array of {self.code!r}")
        return dtype


class _Array:
    """Stands for an array that is being put together."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[Any]:
        """The array, once it is complete."""
        if self.state is None:
            raise ValueError("an array without content")
        _, shape, dtype, by_columns, content = self.state
        return _made(content, dtype, tuple(int(n) for n in shape), "F" if by_columns else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, content: Any = b"") -> Any:
    return _made(content, dtype, (), "C")[()]


def _from_buffer(content: Any, dtype: _Dtype, shape: Any, order: str) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", content)
    return array


def _made(content: Any, dtype: Any, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype):
        raise ValueError("an array without a kind of numbers")
    kind = dtype.dtype()
    if kind == np.dtype(object):
        items = list(content)
        made = np.empty(len(items), dtype=object)
        made[:] = [item.array() if isinstance(item, _Array) else _plain(item) for item in items]
        return made.reshape(shape)
    if isinstance(content, str):
        # Pickles of Python 2 carry bytes as text.
        content = content.encode("latin-1")
    if not isinstance(content, bytes | bytearray):
        raise ValueError("an array whose content is no bytes")
    values = np.frombuffer(content, dtype=kind)
    return values.reshape(shape, order="F" if order == "F" else "C")


def _plain(value: Any) -> Any:
    """A value with its arrays made, also those inside dictionaries."""
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, dict):
        return {key: _plain_or_none(item) for key, item in value.items()}
    return value


def _plain_or_none(value: Any) -> Any:
    """A value, or None for an array that holds something else than numbers."""
    try:
        return _plain(value)
    except (TypeError, ValueError):
        return None


def _encoded(text: str, _encoding: str = "latin-1") -> bytes:
    return text.encode("latin-1")


class _Named:
    """Stands for ``numpy.ndarray``, which pickles name and never make themselves."""


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Named,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encoded,
}
