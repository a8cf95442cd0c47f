from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.segmentation.tiles import Margins, cut_tiles, tissue_cells


def test_margins_in_the_mirror() -> None:
    margins = Margins(1, 2, 3, 4)
    assert margins.mirrored(()) == margins
    assert margins.mirrored((2,)) == Margins(3, 2, 1, 4)
    assert margins.mirrored((3,)) == Margins(1, 4, 3, 2)
    assert margins.mirrored((2, 3)) == Margins(3, 4, 1, 2)


@pytest.mark.parametrize("shape", [(64, 64), (1500, 2001), (2049, 511)])
@pytest.mark.parametrize("tile_px", [300, 1024])
def test_tiles_cover_all_tissue_once(shape: tuple[int, int], tile_px: int) -> None:
    mask = np.ones([-(-side // 8) for side in shape], bool)
    covered = np.zeros([side + 64 for side in shape], int)
    for tile in cut_tiles(shape, mask, 4.0, 0.5, tile_px, 50):
        covered[tile.y0 : tile.y1, tile.x0 : tile.x1] += 1
        assert all(side in (0, 64) for side in tile.context)
        assert all(side % 64 == 0 for side in (*tile.input_origin, *tile.input_shape))
        assert min(tile.input_origin) >= 0
        for start, length, side in zip(tile.input_origin, tile.input_shape, shape, strict=True):
            assert start + length < side + 64
    assert (covered[: shape[0], : shape[1]] == 1).all()


def test_tiles_do_not_share_blocks() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((300, 400)) > 0.998
    blocks = set()
    for tile in cut_tiles((2400, 3200), mask, 4.0, 0.5, 1000, 64):
        for y in range(tile.y0 // 512, -(-tile.y1 // 512)):
            for x in range(tile.x0 // 512, -(-tile.x1 // 512)):
                assert (y, x) not in blocks
                blocks.add((y, x))


def test_tiles_are_trimmed_to_the_tissue() -> None:
    mask = np.zeros((256, 256), bool)
    mask[40, 100] = True  # 320..327, 800..807 px
    (tile,) = cut_tiles((2048, 2048), mask, 4.0, 0.5, 1024, 32)
    assert (tile.y0, tile.x0, tile.y1, tile.x1) == (320, 768, 384, 832)
    assert tile.context == (64, 64, 64, 64)
    assert tile.input_origin == (256, 704)
    assert tile.input_shape == (192, 192)


def test_no_tissue_no_tiles() -> None:
    assert cut_tiles((500, 500), np.zeros((63, 63), bool), 4.0, 0.5, 512, 64) == []


@pytest.mark.parametrize("scale", [3.7, 8.0, 20.5])
def test_every_tissue_pixel_lies_in_a_marked_cell(scale: float) -> None:
    shape = (700, 900)
    rng = np.random.default_rng(1)
    mask = rng.random([max(1, round(side / scale)) for side in shape]) > 0.97
    cells = tissue_cells(shape, mask, scale)
    assert cells.shape == (11, 15)
    for row, column in np.argwhere(mask):
        for y in (row * scale, (row + 0.99) * scale):
            for x in (column * scale, (column + 0.99) * scale):
                if y < shape[0] and x < shape[1]:
                    assert cells[int(y) // 64, int(x) // 64]
