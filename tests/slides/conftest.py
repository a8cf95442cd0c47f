from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """A small colorful image whose pixels all differ from their neighbors, (150, 130, 3)."""
    return np.random.default_rng(1).integers(0, 256, (150, 130, 3), dtype=np.uint8)


@pytest.fixture
def gray16() -> NDArray[np.uint16]:
    return np.random.default_rng(2).integers(0, 65536, (150, 130), dtype=np.uint16)
