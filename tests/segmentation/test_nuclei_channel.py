from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from segmentation.drawn_maps import draw_nuclei

from biopsy_ai import labels as label_room
from biopsy_ai.errors import Cancelled
from biopsy_ai.segmentation import nuclei_channel
from biopsy_ai.segmentation.nuclei import Nuclei
from biopsy_ai.segmentation.nuclei_channel import find_channel_nuclei, label_channel
from biopsy_ai.slides import Slide, open_slide

MPP = 0.5


def channel(
    labels: NDArray[np.int32], *, brightness: float = 900.0, seed: int = 0
) -> NDArray[np.uint16]:
    """A 12-bit channel: nuclei on an uneven ground, blurred, with noise."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 1, labels.shape[0], dtype=np.float32)[:, None]
    lit = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 0.8) * brightness
    noisy = lit + 150 + 300 * y + rng.normal(0, 15, labels.shape)
    return np.clip(noisy, 0, 4095).astype(np.uint16)


def open_channels(folder: Path, nuclei: NDArray[np.uint16]) -> Slide:
    """A slide of two channels, of which the second shows the nuclei."""
    border = np.full_like(nuclei, 200)
    border[::40] = 2000
    path = folder / "channels.tif"
    tifffile.imwrite(
        path,
        np.stack([border, nuclei]),
        photometric="minisblack",
        metadata={"axes": "CYX"},
        resolution=(1e4 / MPP, 1e4 / MPP),
        resolutionunit="CENTIMETER",
    )
    return open_slide(path, mpp=MPP, channels={"border": 0, "nuclei": 1})


def find(folder: Path, nuclei: NDArray[np.uint16], **options: Any) -> Nuclei:
    with open_channels(folder, nuclei) as slide:
        return find_channel_nuclei(slide, slide.channels["nuclei"], **options)


@pytest.fixture(scope="module")
def truth() -> NDArray[np.int32]:
    """About 300 nuclei, none too small to count as one."""
    labels = draw_nuclei((420, 500), seed=2, pitch=26)
    small = np.bincount(labels.ravel()) < 40
    labels[small[labels]] = 0
    return labels


def test_every_nucleus_is_found_once(truth: NDArray[np.int32], tmp_path: Path) -> None:
    found = find(tmp_path, channel(truth))
    drawn = np.unique(truth[truth > 0])
    assert len(found) == len(drawn)
    assert found.mpp == (MPP, MPP)
    labels = np.asarray(found.labels)
    assert np.unique(labels[labels > 0]).tolist() == list(range(1, len(found) + 1))
    for row, (y0, x0, y1, x1) in enumerate(found.boxes):
        mine = labels[y0:y1, x0:x1] == row + 1
        below = truth[y0:y1, x0:x1]
        true = below == np.bincount(below[mine]).argmax()
        assert mine.sum() == found.area_px[row]
        assert (mine & true).sum() / (mine | true).sum() > 0.6
    assert ((found.confidence > 0.3) & (found.confidence <= 1)).all()


def test_touching_nuclei_are_two_and_a_long_one_is_one() -> None:
    heights = np.zeros((80, 160), np.float32)
    cv2.circle(heights, (30, 40), 9, 100, -1)
    cv2.circle(heights, (46, 40), 9, 100, -1)
    cv2.ellipse(heights, (110, 40), (26, 5), 20, 0, 360, 100, -1)
    labels = label_channel(heights, 50.0, MPP)
    assert labels.max() == 3
    assert labels[40, 30] != labels[40, 46]
    assert len(np.unique(labels[:, 70:][labels[:, 70:] > 0])) == 1
    assert ((labels > 0) == (heights > 50)).all()


def test_nucleoli_leave_no_holes() -> None:
    heights = np.zeros((60, 60), np.float32)
    cv2.circle(heights, (30, 30), 10, 100, -1)
    heights[29:32, 28:31] = 0
    labels = label_channel(heights, 50.0, MPP)
    assert labels.max() == 1
    assert labels[30, 29] == 1


def test_windows_neither_cut_nor_double_a_nucleus(
    truth: NDArray[np.int32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = find(tmp_path, channel(truth))
    monkeypatch.setattr(nuclei_channel, "CORE_PX", 128)
    cut = find(tmp_path, channel(truth))
    assert ((np.asarray(whole.labels) > 0) == (np.asarray(cut.labels) > 0)).all()
    assert sorted(whole.area_px) == sorted(cut.area_px)
    assert sorted(map(tuple, whole.centroid_px)) == sorted(map(tuple, cut.centroid_px))
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 0)
    large = find(tmp_path, channel(truth))
    assert not isinstance(large.labels, np.ndarray)
    assert (np.asarray(large.labels[:, :]) == cut.labels).all()


@pytest.mark.parametrize("level", [0, 180])
def test_a_dark_channel_is_empty(tmp_path: Path, level: int) -> None:
    found = find(tmp_path, np.full((300, 320), level, np.uint16))
    assert len(found) == 0
    assert not np.asarray(found.labels).any()


@pytest.mark.parametrize(("mean", "sd"), [(150, 15), (0, 1), (1500, 300)])
def test_noise_holds_no_nuclei(tmp_path: Path, mean: float, sd: float) -> None:
    noise = np.random.default_rng(1).normal(mean, sd, (700, 700))
    assert len(find(tmp_path, np.clip(noise, 0, 4095).astype(np.uint16))) == 0


def test_few_nuclei_beside_dust_are_found(tmp_path: Path) -> None:
    """Dust is far brighter, and haze wider, than any nucleus."""
    labels = np.zeros((900, 900), np.int32)
    for number, (y, x) in enumerate([(100, 100), (400, 700), (800, 300)], start=1):
        cv2.circle(labels, (x, y), 8, number, -1)
    plane = channel(labels, brightness=500)
    plane[600:602, 600:602] = 4095
    haze = np.zeros(labels.shape, np.float32)
    cv2.circle(haze, (650, 200), 120, 600, -1)
    plane = np.clip(plane + cv2.GaussianBlur(haze, (0, 0), 40), 0, 4095).astype(np.uint16)
    found = find(tmp_path, plane)
    assert len(found) == 3
    np.testing.assert_allclose(found.centroid_px, [(100, 100), (400, 700), (800, 300)], atol=1.5)


def test_it_can_be_stopped(truth: NDArray[np.int32], tmp_path: Path) -> None:
    seen = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        find(tmp_path, channel(truth), progress=stop)
    assert seen == [("nuclei_channel", 0, 1)]
