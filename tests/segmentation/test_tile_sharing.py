from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from biopsy_ai.segmentation import tile_sharing
from biopsy_ai.segmentation.tile_sharing import TileJob, batches_of, predict_shared
from biopsy_ai.segmentation.tiles import Margins, Tile

JOB = TileJob(Path("a.tif"), 0.5, (), 1.0, 0.0, 1.0, None, "muscle", "0" * 64, "int8", 1, True)


def tiles(n: int, side: int = 64) -> list[Tile]:
    return [Tile(0, side * i, side, side * (i + 1), Margins()) for i in range(n)]


class Helpers:
    """One helper that does a chunk when asked for the second time whether it is done."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.chunks: list[Any] = []
        self.asked = 0

    def offer(self, function: Any, job: TileJob, chunk: list[list[Tile]]) -> Any:
        if self.asked < 2 and self.chunks:
            return None
        self.asked = 0
        self.chunks.append(chunk)
        return chunk

    def is_done(self, ticket: Any) -> bool:
        self.asked += 1
        return self.asked > 1

    def result(self, ticket: Any) -> Any:
        return None if self.fails else [(tile, "there") for batch in ticket for tile in batch]


def here(batches: Iterable[list[Tile]]) -> Iterator[tuple[Tile, Any]]:
    for batch in batches:
        for tile in batch:
            yield tile, "here"


@pytest.fixture(autouse=True)
def _no_helpers_afterwards() -> Iterator[None]:
    yield
    tile_sharing.let_help(None)


def test_batches_hold_neighbors_of_one_shape() -> None:
    batches = batches_of([*tiles(5), *tiles(2, 128)], 2 * 64 * 64)
    assert [len(batch) for batch in batches] == [2, 2, 1, 1, 1]
    assert [len(batch) for batch in batches_of(tiles(3), 1)] == [1, 1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_every_tile_is_predicted_once(fails: bool) -> None:
    helpers = Helpers(fails=fails)
    tile_sharing.let_help(helpers)
    batches = batches_of(tiles(20), 1)
    predicted = list(predict_shared(batches, lambda: JOB, here))
    assert sorted(tile.x0 for tile, _ in predicted) == [64 * i for i in range(20)]
    assert helpers.chunks
    assert ("there" in {where for _, where in predicted}) is not fails


def test_small_slides_are_not_shared() -> None:
    helpers = Helpers()
    tile_sharing.let_help(helpers)
    assert len(list(predict_shared(batches_of(tiles(5), 1), lambda: JOB, here))) == 5
    assert not helpers.chunks
