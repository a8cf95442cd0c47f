"""Slides that are broken in ten ways, as they turn up among good ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

SIDE_PX = 400
RESOLUTION = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def break_slides(folder: Path) -> dict[str, str]:
    """Write ten broken slides; gives a word that the reason must hold, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    picture = rng.integers(150, 250, (SIDE_PX, SIDE_PX, 3), np.uint8)

    def write(name: str, pixels: np.ndarray, **options: object) -> Path:
        tifffile.imwrite(folder / name, pixels, **{**RESOLUTION, **options})
        return folder / name

    (folder / "broken_empty.tif").touch()
    (folder / "broken_text.tif").write_text("Please scan slide 12 again.\n")
    whole = write("broken_truncated.tif", picture).read_bytes()
    (folder / "broken_truncated.tif").write_bytes(whole[: len(whole) // 2])
    damaged = write("broken_damaged.tif", picture, compression="zlib")
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = rng.bytes(2000)
    damaged.write_bytes(content)
    tifffile.imwrite(folder / "broken_no_pixel_size.tif", picture)
    write("broken_pixel_size.tif", picture, resolution=(5, 5))
    write("broken_small.tif", picture[:40, :40])
    write("broken_blank.tif", np.full((SIDE_PX, SIDE_PX, 3), 244, np.uint8))
    lines = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    inner = lines[40:-40, 40:-40]
    inner[:: SIDE_PX // 16], inner[:, :: SIDE_PX // 16] = 200, 200
    write("broken_channels.tif", np.stack([lines] * 4), photometric="minisblack")
    (folder / "broken_folder.tif").mkdir(exist_ok=True)
    return {
        "broken_empty.tif": "empty",
        "broken_text.tif": "",
        "broken_truncated.tif": "",
        "broken_damaged.tif": "",
        "broken_no_pixel_size.tif": "pixel size",
        "broken_pixel_size.tif": "pixel",
        "broken_small.tif": "too small",
        "broken_blank.tif": "",
        "broken_channels.tif": "channel",
        "broken_folder.tif": "",
    }
