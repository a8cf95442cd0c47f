from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk

from biopsy_ai import labels as labels_room
from biopsy_ai.errors import ChannelError
from biopsy_ai.measure.fiber_stain import (
    density_of_interior,
    measure_fiber_stain,
    type_channels,
)
from biopsy_ai.measure.interior import measure_interior

MPP = (0.5, 0.5)
WHITE = np.full(3, 255.0, np.float32)


@pytest.fixture
def fibers() -> np.ndarray:
    """Three discs of 20 µm radius, and one of 1.5 µm, which has no inside."""
    fibers = np.zeros((120, 340), np.int32)
    for label, x in ((1, 50), (2, 150), (7, 250)):
        fibers[disk((50, x), 40)] = label
    fibers[disk((100, 320), 3)] = 9
    return fibers


def bright_field(fibers: np.ndarray) -> np.ndarray:
    density = np.zeros(fibers.shape)
    for label, amount in ((1, 0.1), (2, 0.4), (7, 0.8), (9, 0.5)):
        density[fibers == label] = amount
    return 256 * 10.0 ** -(density[..., None] * [1.0, 0.8, 1.2]) - 1


def test_density_is_the_mean_of_the_channels_inside_of_the_rim(fibers):
    image = bright_field(fibers)
    rim = np.zeros(fibers.shape, bool)
    rim[disk((50, 50), 40)] = True
    rim[disk((50, 50), 37)] = False
    image[rim] = 5.0
    nuclei = np.zeros_like(fibers)
    nuclei[30:70, 210:240] = 1
    image[nuclei > 0] = 0.0
    found = measure_fiber_stain(fibers, MPP, image, white=WHITE, nuclei=nuclei)
    assert found["label"].tolist() == [1, 2, 7, 9]
    assert found["od"].to_numpy()[:3] == pytest.approx([0.1, 0.4, 0.8], abs=0.005)
    assert np.isnan(found["od"].iloc[3])


def test_the_density_of_interiors_is_the_same(fibers):
    image = bright_field(fibers)
    interior = measure_interior(fibers, MPP, image=image, white=WHITE)
    pd.testing.assert_frame_equal(
        density_of_interior(interior),
        measure_fiber_stain(fibers, MPP, image, white=WHITE),
        rtol=1e-4,
    )


def test_channels_are_medians_and_a_sparse_picture_is_enough(fibers):
    image = np.zeros((*fibers.shape, 3), np.uint16)
    image[..., 2] = 100 * fibers
    image[..., 0] = 40_000
    image[30:40, 30:40, 2] = 60_000  # a bright speck
    channels = {"I": 2, "IIA": 0}
    found = measure_fiber_stain(fibers, MPP, image, channels=channels)
    assert list(found) == ["label", "I", "IIA"]
    assert found["I"].to_numpy()[:3] == pytest.approx([100, 200, 700], abs=0.1)
    assert found["IIA"].to_numpy()[:3] == pytest.approx(40_000)
    sparse = measure_fiber_stain(fibers, MPP, image[::2, ::2], channels=channels, image_step=2)
    pd.testing.assert_frame_equal(sparse, found)


def test_windows_change_nothing(fibers, monkeypatch):
    image = bright_field(fibers)
    whole = measure_fiber_stain(fibers, MPP, image, white=WHITE)
    monkeypatch.setattr(labels_room, "WINDOW_PX", 61)
    told = []
    parts = measure_fiber_stain(
        fibers, MPP, image, white=WHITE, progress=lambda *args: told.append(args)
    )
    pd.testing.assert_frame_equal(whole, parts)
    assert told[-1] == ("fiber stain", 4, 4)


def test_what_does_not_fit_is_refused(fibers):
    image = bright_field(fibers)
    with pytest.raises(ValueError, match="give the channels"):
        measure_fiber_stain(fibers, MPP, image)
    with pytest.raises(ValueError, match="same grid"):
        measure_fiber_stain(fibers, MPP, image[1:], white=WHITE)
    with pytest.raises(ValueError, match="too little"):
        measure_fiber_stain(fibers, MPP, image[::3, ::3], white=WHITE, image_step=3)


def test_channel_names_are_read_in_any_case():
    assert type_channels({"border": 3, "IIx": 2, "i": 0, " IIa ": 1}) == {
        "I": 0,
        "IIA": 1,
        "IIX": 2,
    }
    assert type_channels({"border": 3, "nuclei": 0}) == {}
    with pytest.raises(ChannelError, match="twice"):
        type_channels({"IIa": 1, "IIA": 2})
