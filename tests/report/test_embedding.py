from __future__ import annotations

import cv2
import numpy as np

from biopsy_ai.report.embedding import as_jpeg, read_picture, read_png


def test_large_pictures_are_made_smaller_and_small_ones_stay() -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, :, 0] = 200
    image = as_jpeg(pixels, 200)
    assert (image.width_px, image.height_px, image.kind) == (200, 50, "jpeg")
    again = cv2.imdecode(np.frombuffer(image.content, np.uint8), cv2.IMREAD_COLOR)
    assert again.shape == (50, 200, 3)
    assert abs(int(again[20, 20, 2]) - 200) < 5  # red in the third place, as OpenCV has it
    assert as_jpeg(pixels, 1000).width_px == 400


def test_pictures_are_read_from_files(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((30, 60, 3), 90, np.uint8))
    image = read_picture(tmp_path / "a.png", 40)
    assert image is not None
    assert (image.width_px, image.height_px) == (40, 20)
    png = read_png(tmp_path / "a.png")
    assert png is not None
    assert (png.width_px, png.height_px, png.kind) == (60, 30, "png")
    assert png.content == (tmp_path / "a.png").read_bytes()


def test_what_cannot_be_read_is_left_out(tmp_path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name in ("bad.png", "empty.png", "missing.png"):
        assert read_picture(tmp_path / name) is None
        assert read_png(tmp_path / name) is None
