"""Write synthetic sections and their truth to files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.formats.files import output_folder, replacing
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.formats.tables import write_csv, write_json
from biopsy_ai.synthesis.section import SyntheticSection
from biopsy_ai.tissue_classes import TISSUE_CLASSES


def write_image(
    path: str | Path, image: NDArray, mpp: float, channels: tuple[str, ...] = ()
) -> None:
    """Write a section as tiled OME-TIFF with its pixel size.

    Parameters
    ----------
    path
        File to write.
    image : ndarray
        (H, W, 3) uint8 for bright field (JPEG, quality 92), (H, W) or (H, W, channels) uint16 for
        fluorescence (compressed without loss, one plane per channel).
    mpp
        Pixel size, µm.
    channels
        Names of the channels of fluorescence.
    """
    import tifffile

    bright_field = image.dtype == np.uint8
    if image.ndim == 3 and not bright_field:
        image = np.moveaxis(image, -1, 0)
    metadata: dict[str, Any] = {
        "axes": "YXS" if bright_field else "CYX" if image.ndim == 3 else "YX",
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
    }
    color: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib", "predictor": True}
    if channels:
        metadata["Channel"] = {"Name": list(channels)}
    if bright_field:
        color = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 92}}
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, image, ome=True, tile=(256, 256), metadata=metadata, **color)


def write_section(section: SyntheticSection, folder: str | Path, name: str) -> Path:
    """Write a section as ``NAME.tif`` and its truth into the folder ``truth`` beside it.

    The truth is ``NAME_fibers.tif``, ``NAME_nuclei.tif``, ``NAME_tissue.tif`` (label images with
    pixel size), ``NAME_fibers.csv``, ``NAME_nuclei.csv`` and ``NAME_section.json`` (parameters
    and seed).

    Returns
    -------
    Path
        The picture.
    """
    folder = output_folder(folder)
    truth = output_folder(folder / "truth")
    mpp = (section.mpp, section.mpp)
    write_label_image(truth / f"{name}_fibers.tif", section.labels, mpp)
    write_label_image(truth / f"{name}_nuclei.tif", section.nuclei_labels, mpp)
    write_label_image(truth / f"{name}_tissue.tif", section.tissue.astype(np.int32), mpp)
    write_csv(truth / f"{name}_fibers.csv", section.fibers)
    write_csv(truth / f"{name}_nuclei.csv", section.nuclei)
    write_json(
        truth / f"{name}_section.json",
        {
            "synthetic": True,
            "seed": section.seed,
            "params": asdict(section.params),
            "tissue_classes": dict(enumerate(TISSUE_CLASSES)),
        },
    )
    path = folder / f"{name}.tif"
    channels = section.params.channels if section.params.stain == "if" else ()
    write_image(path, section.image, section.mpp, channels)
    return path
