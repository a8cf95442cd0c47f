"""OME-Zarr images, NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides.pixel_size import PixelSize, from_lengths
from biopsy_ai.slides.source import (
    MAX_WHOLE_BYTES,
    BlockCache,
    ImageInfo,
    default_channel_names,
    fill_from_blocks,
    reading,
)

_RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")


class ZarrSource:
    """The first image of an OME-Zarr folder, at its first time point and focal plane."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self._open()

    def _open(self) -> None:
        import zarr

        group = zarr.open_group(str(self.path), mode="r")
        if not _ome(group).get("multiscales") and "0" in group and hasattr(group["0"], "keys"):
            group = group["0"]  # type: ignore[assignment]  # layout of bioformats2raw
        ome = _ome(group)
        if not ome.get("multiscales"):
            raise SlideReadError(
                f"{self.path}: the Zarr folder holds no OME-Zarr image. Name the folder of one."
            )
        image = ome["multiscales"][0]
        datasets = image["datasets"]
        self._arrays: list[Any] = [group[item["path"]] for item in datasets]
        first = self._arrays[0]
        axes = image.get("axes") or [{"name": name} for name in "tczyx"[-first.ndim :]]
        self._names = [
            (axis["name"] if isinstance(axis, Mapping) else axis).lower() for axis in axes
        ]
        if self._names[-2:] != ["y", "x"] or first.ndim != len(self._names):
            raise SlideReadError(f"{self.path}: the last two axes of the image are not y and x.")
        for array in self._arrays:
            _check_chunks(array, self.path)
        dtype = np.dtype(first.dtype).newbyteorder("=")
        if dtype.kind not in "uif":
            raise SlideReadError(f"{self.path}: pixels of type {dtype} are not supported.")
        n_channels = first.shape[self._names.index("c")] if "c" in self._names else 1
        listed = ome.get("omero", {}).get("channels", [])
        is_rgb = n_channels == 3 and dtype == np.uint8 and _are_colors(listed)
        names = tuple(str(channel.get("label", "")) for channel in listed)
        if is_rgb or len(names) != n_channels or not all(names):
            names = default_channel_names(n_channels, is_rgb)
        self._cache = BlockCache()
        self.info = ImageInfo(
            level_shapes=tuple((int(a.shape[-2]), int(a.shape[-1])) for a in self._arrays),
            n_channels=int(n_channels),
            dtype=dtype,
            is_rgb=is_rgb,
            channel_names=names,
            pixel_size=_stated_pixel_size(image, axes),
            warnings=tuple(
                f"{self.path}: of {size} images along axis {name} only the first is used."
                for name, size in zip(self._names, first.shape, strict=True)
                if name not in "cyx" and size > 1
            ),
        )

    def read(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], channels: Sequence[int]
    ) -> NDArray[Any]:
        array = self._arrays[level]
        shape = (rows[1] - rows[0], cols[1] - cols[0])
        out = np.zeros((*shape, len(channels)), self.info.dtype)
        block = _block_shape(array)
        with reading(self.path):
            for i, channel in enumerate(channels):
                fill_from_blocks(
                    out[..., i : i + 1],
                    (rows[0], cols[0]),
                    block,
                    lambda by, bx, c=channel: self._cache.get(  # type: ignore[misc]
                        (level, c, by, bx), lambda: self._load(level, c, by, bx, block)
                    ),
                )
        return out

    def _load(
        self, level: int, channel: int, block_row: int, block_column: int, block: tuple[int, int]
    ) -> NDArray[Any]:
        y, x = block_row * block[0], block_column * block[1]
        where = tuple(channel if name == "c" else 0 for name in self._names[:-2])
        index = (*where, slice(y, y + block[0]), slice(x, x + block[1]))
        return np.asarray(self._arrays[level][index])[..., None]

    def close(self) -> None:
        self._arrays = []
        self._cache.clear()


def _block_shape(array: Any) -> tuple[int, int]:
    """Whole chunks, and several of them where they are small, since each read costs 1 ms."""
    rows, columns = (math.ceil(512 / side) * side for side in array.chunks[-2:])
    return rows, columns


def _check_chunks(array: Any, path: Path) -> None:
    """Refuse an array of which a read would decode too much: a chunk is decoded whole."""
    n_bytes = math.prod((*array.chunks[:-2], *_block_shape(array))) * array.dtype.itemsize
    if n_bytes > MAX_WHOLE_BYTES:
        raise SlideReadError(
            f"{path}: the image {array.path} is stored in chunks of "
            f"{' × '.join(str(side) for side in array.chunks)}, too large to decode "
            f"({n_bytes / 1e9:.1f} GB, at most {MAX_WHOLE_BYTES / 1e9:.1f} GB). Save it with "
            "smaller chunks, such as 512 × 512 pixels of one channel."
        )


def _ome(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return dict(attributes.get("ome", attributes))


def _are_colors(channels: Sequence[Mapping[str, Any]]) -> bool:
    """Whether three 8-bit channels are a color image: unnamed, or shown as red, green, blue."""
    if not channels:
        return True
    return tuple(str(channel.get("color", "")).upper() for channel in channels) == _RED_GREEN_BLUE


def _stated_pixel_size(image: Mapping[str, Any], axes: Sequence[Any]) -> PixelSize:
    scale = np.ones(len(axes))
    stated = False
    for part in (image["datasets"][0], image):
        for transform in part.get("coordinateTransformations") or ():
            if transform.get("type") == "scale":
                scale = scale * np.asarray(transform["scale"], dtype=float)
                stated = True
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in axes]
    if not stated:
        return PixelSize()
    found = from_lengths(scale[-2], scale[-1], units[-2], units[-1], "OME-Zarr metadata")
    return found or PixelSize(hint="its scale has no unit of length")
