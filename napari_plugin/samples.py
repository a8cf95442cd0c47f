"""The bundled sample slides under File > Open Sample > biopsy-ai."""

from __future__ import annotations

from functools import partial
from typing import Any

LayerData = tuple[Any, dict[str, Any], str]


def load_sample(name: str) -> list[LayerData]:
    """Load a sample slide and its true fibers, and say what the program may be used for.

    Parameters
    ----------
    name
        File name of the slide without suffix, such as ``"normal_he"``.

    Returns
    -------
    An image layer and a labels layer, both scaled to µm.

    Raises
    ------
    SlideReadError
        If this installation has no such sample.
    """
    from napari.utils.notifications import show_info

    from biopsy_ai import RESEARCH_USE_ONLY
    from biopsy_ai.formats.label_image import read_label_image
    from biopsy_ai.resources import bundled, sample_fibers
    from biopsy_ai.slides import open_slide

    path = bundled("sample_slides", f"{name}.tif")
    with open_slide(path) as slide:
        image = slide.read_region(0, 0, 0, *slide.shape)
        mpp = slide.mpp
    labels, labels_mpp = read_label_image(sample_fibers(path))
    show_info(RESEARCH_USE_ONLY)
    return [
        (image, {"name": name, "rgb": True, **_in_um(mpp)}, "image"),
        (labels, {"name": f"{name} fibers", **_in_um(labels_mpp or mpp)}, "labels"),
    ]


def _in_um(mpp: tuple[float, float]) -> dict[str, Any]:
    # The first pixel's center, where napari puts it, lies half a pixel into the image.
    corner = tuple(size / 2 for size in mpp)
    return {"scale": mpp, "translate": corner, "units": ("um", "um"), "axis_labels": ("y", "x")}


normal_he = partial(load_sample, "normal_he")
normal_atpase = partial(load_sample, "normal_atpase")
acute_denervation_he = partial(load_sample, "acute_denervation_he")
chronic_reinnervation_atpase = partial(load_sample, "chronic_reinnervation_atpase")
dystrophy_he = partial(load_sample, "dystrophy_he")
type2_atrophy_atpase = partial(load_sample, "type2_atrophy_atpase")
