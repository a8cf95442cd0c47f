"""Tiles on their way through the network: read ahead, several batches at once on a processor.

A convolution that all cores share waits after each layer for the slowest of them, which is long
where other threads draw at the same time. A batch for each core waits for nobody, and takes half
of the time in all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.processors import usable_cores
from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.segmentation.tiles import Tile

if TYPE_CHECKING:
    from biopsy_ai.segmentation.device import Device
    from biopsy_ai.segmentation.maps import MapNetwork
    from biopsy_ai.segmentation.picture import PictureReader

Batch = list[Tile]
Predicted = tuple[Tile, FiberMaps]

STREAMS_MAX = 4
"""Batches that are predicted at the same time; each needs about 400 MB. [default]"""

LEAST_BATCHES = 2
"""Batches for each stream from which on several are faster. [default]"""


def count_streams(device: Device, n_batches: int) -> int:
    """Batches to predict at the same time: one on an accelerator, and of few."""
    if not device.is_cpu:
        return 1
    streams = min(usable_cores(), STREAMS_MAX)
    return streams if n_batches >= LEAST_BATCHES * streams else 1


def predict_batches(
    batches: Iterable[Batch],
    reader: PictureReader,
    network: MapNetwork,
    readers: Executor,
    ahead_px: int,
    streams: int = 1,
) -> Iterator[Predicted]:
    """Read ahead, put the tiles of each batch through the network together, give their maps.

    Parameters
    ----------
    batches
        Tiles of one shape and context each; taken as they are needed.
    reader
        Of the slide.
    network
        That predicts.
    readers
        Threads that read.
    ahead_px
        Pixels to read ahead.
    streams
        Batches that are predicted at the same time, which share out the cores. The maps are the
        same to the last bit, and come in the order of the batches.
    """
    pictures = _pictures(batches, reader, readers, ahead_px)
    if streams == 1:
        for batch, read in pictures:
            yield from zip(batch, network.predict(read, batch[0].context), strict=True)
        return
    with _sharing_cores(streams) as threads:
        waiting: deque[tuple[Batch, Future[list[FiberMaps]]]] = deque()
        for batch, read in pictures:
            waiting.append((batch, threads.submit(network.predict, read, batch[0].context)))
            if len(waiting) > streams:
                batch, maps = waiting.popleft()
                yield from zip(batch, maps.result(), strict=True)
        for batch, maps in waiting:
            yield from zip(batch, maps.result(), strict=True)


@contextmanager
def _sharing_cores(streams: int) -> Iterator[Executor]:
    """Threads in which PyTorch uses a share of the cores each; what they have begun ends first."""
    import torch

    before = torch.get_num_threads()
    share = max(usable_cores() // streams, 1)
    threads = ThreadPoolExecutor(
        streams, "biopsy-ai-network", initializer=torch.set_num_threads, initargs=(share,)
    )
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
        # the number is that of a thread, but also the one that new threads begin with
        torch.set_num_threads(before)


def _pictures(
    batches: Iterable[Batch], reader: PictureReader, readers: Executor, ahead_px: int
) -> Iterator[tuple[Batch, list[NDArray[np.float32]]]]:
    waiting: deque[Batch] = deque()

    def tiles() -> Iterator[Tile]:
        for batch in batches:
            waiting.append(batch)
            yield from batch

    read: list[NDArray[np.float32]] = []
    for picture in _read_ahead(tiles(), reader, readers, ahead_px):
        read.append(picture)
        if len(read) == len(waiting[0]):
            yield waiting.popleft(), read
            read = []


def _read_ahead(
    tiles: Iterable[Tile], reader: PictureReader, readers: Executor, ahead_px: int
) -> Iterator[NDArray[np.float32]]:
    waiting: deque[tuple[int, Future[NDArray[np.float32]]]] = deque()
    queued_px = 0
    remaining = iter(tiles)
    while True:
        while len(waiting) < 2 or queued_px < ahead_px:
            tile = next(remaining, None)
            if tile is None:
                break
            height, width = tile.input_shape
            queued_px += height * width
            picture = readers.submit(reader.read, *tile.input_origin, height, width)
            waiting.append((height * width, picture))
        if not waiting:
            return
        n_px, picture = waiting.popleft()
        queued_px -= n_px
        yield picture.result()
