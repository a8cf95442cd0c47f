from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.errors import PixelSizeError, SlideReadError
from biopsy_ai.slides.source import BlockCache, fill_from_blocks, reading


def test_cache_keeps_the_most_recent_within_its_size():
    cache = BlockCache(max_bytes=250)
    loaded = []

    def load(key):
        return cache.get(key, lambda: loaded.append(key) or np.zeros(100, np.uint8))

    for key in "abacab":
        load(key)
    # b is dropped for c, being used longest ago, and loaded again in the end.
    assert loaded == ["a", "b", "c", "b"]


def test_a_block_larger_than_the_cache_is_kept_alone():
    cache = BlockCache(max_bytes=10)
    for _ in range(3):
        block = cache.get("a", lambda: np.zeros(100, np.uint8))
        assert block is not None
    cache.clear()
    assert cache.get("a", lambda: None) is None


def test_rectangles_are_filled_from_blocks():
    image = np.arange(23 * 17).reshape(23, 17, 1)

    def load(by, bx):
        return None if (by, bx) == (0, 0) else image[by * 5 : by * 5 + 5, bx * 4 : bx * 4 + 4]

    out = np.full((20, 13, 1), -1)
    fill_from_blocks(out, (2, 3), (5, 4), load)
    expected = image[2:22, 3:16].copy()
    expected[:3, :1] = -1
    np.testing.assert_array_equal(out, expected)


def test_errors_of_decoders_name_the_file(tmp_path):
    with pytest.raises(SlideReadError, match=r"a.tif.*boom") as caught, reading(tmp_path / "a.tif"):
        raise RuntimeError("boom")
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(PixelSizeError, match="own"), reading(tmp_path / "a.tif"):
        raise PixelSizeError("own")
    with pytest.raises(SlideReadError, match="memory"), reading(tmp_path / "a.tif"):
        raise MemoryError
