from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from biopsy_ai import processors
from biopsy_ai.segmentation.device import Device
from biopsy_ai.segmentation.model import load_model
from biopsy_ai.segmentation.streams import STREAMS_MAX, count_streams, predict_batches
from biopsy_ai.segmentation.tiles import Margins, Tile

CPU, GPU = Device("cpu", torch.float32, 1), Device("cuda", torch.float16, 1)


def batches(n: int, of: int = 1) -> list[list[Tile]]:
    tiles = [Tile(0, 64 * i, 64, 64 * (i + 1), Margins()) for i in range(n * of)]
    return [tiles[i * of : (i + 1) * of] for i in range(n)]


class Reader:
    """Gives pictures that show where they are from."""

    def read(self, y: int, x: int, height: int, width: int) -> Any:
        return np.full((height, width, 3), x, np.float32)


class Network:
    """Gives the value of each picture, and remembers in which threads, of how many cores."""

    def __init__(self, *, meeting: threading.Barrier | None = None, fails_at: int = -1) -> None:
        self.meeting, self.fails_at = meeting, fails_at
        self.threads: set[int] = set()
        self.cores: set[int] = set()

    def predict(self, pictures: Any, context: Margins) -> list[Any]:
        self.threads.add(threading.get_ident())
        self.cores.add(torch.get_num_threads())
        values = [float(picture[0, 0, 0]) for picture in pictures]
        if self.meeting is not None:
            self.meeting.wait()
        if self.fails_at in values:
            raise RuntimeError("broken")
        return values


def predicted(network: Any, n: int, streams: int, of: int = 1) -> list[float]:
    reader: Any = Reader()
    with ThreadPoolExecutor(2) as readers:
        found: Any = predict_batches(batches(n, of), reader, network, readers, 1, streams)
        return [value for tile, value in found if tile.x0 == value]


@pytest.mark.parametrize("streams", [1, 2, 3])
def test_maps_come_with_their_tiles_and_in_their_order(streams: int) -> None:
    assert predicted(Network(), 7, streams) == [64.0 * i for i in range(7)]
    assert predicted(Network(), 3, streams, of=2) == [64.0 * i for i in range(6)]
    assert predicted(Network(), 0, streams) == []


def test_streams_run_at_the_same_time_and_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_share", 2)
    before = torch.get_num_threads()
    network = Network(meeting=threading.Barrier(2, timeout=30))
    assert len(predicted(network, 4, streams=2)) == 4
    assert len(network.threads) == 2
    assert network.cores == {1}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before


def test_one_stream_works_in_the_thread_that_asks() -> None:
    network = Network()
    predicted(network, 3, streams=1)
    assert network.threads == {threading.get_ident()}


@pytest.mark.parametrize("streams", [1, 2])
def test_errors_reach_who_asks_and_the_rest_is_dropped(streams: int) -> None:
    network = Network(fails_at=64)
    with pytest.raises(RuntimeError, match="broken"):
        predicted(network, 50, streams)
    assert not [t for t in threading.enumerate() if t.name.startswith("biopsy-ai-network")]


def test_who_stops_asking_waits_for_no_more_than_has_begun() -> None:
    reader: Any = Reader()
    network: Any = Network()
    with ThreadPoolExecutor(2) as readers:
        found = predict_batches(batches(50), reader, network, readers, 1, streams=2)
        next(found)
        found.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("biopsy-ai-network")]


def test_several_streams_only_on_processors_and_for_many_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cores, n_batches, expected in (
        (1, 100, 1),
        (2, 3, 1),
        (2, 4, 2),
        (64, 7, 1),
        (64, 100, STREAMS_MAX),
    ):
        monkeypatch.setattr(processors, "_share", cores)
        assert count_streams(CPU, n_batches) == expected
        assert count_streams(GPU, n_batches) == 1


def test_maps_do_not_depend_on_the_number_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    from biopsy_ai.segmentation.device import choose_device
    from biopsy_ai.segmentation.maps import MapNetwork

    monkeypatch.setattr(processors, "_share", 2)
    rng = np.random.default_rng(0)
    pictures = {64 * i: rng.random((64, 64, 3), np.float32) for i in range(5)}

    class Drawn(Reader):
        def read(self, y: int, x: int, height: int, width: int) -> Any:
            return pictures[x]

    reader: Any = Drawn()
    network = MapNetwork(load_model("muscle"), choose_device("cpu"))
    with ThreadPoolExecutor(2) as readers:
        one, two = (
            list(predict_batches(batches(5), reader, network, readers, 1, streams))
            for streams in (1, 2)
        )
    for (tile, maps), (other_tile, other) in zip(one, two, strict=True):
        assert tile == other_tile
        for name, plane in maps.planes.items():
            np.testing.assert_array_equal(plane, other.planes[name])
