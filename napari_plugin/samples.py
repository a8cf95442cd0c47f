"""The bundled sample slides under File > Open Sample > biopsy-ai."""

from __future__ import annotations

from functools import partial

from napari_plugin.layers import LayerData, image_layers, in_um
from napari_plugin.reader import show_scale_bar


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
    slide = open_slide(path)
    labels, labels_mpp = read_label_image(sample_fibers(path))
    show_info(RESEARCH_USE_ONLY)
    show_scale_bar()
    shown = {"name": f"{name} fibers", **in_um(labels_mpp or slide.mpp)}
    return [*image_layers(slide), (labels, shown, "labels")]


normal_he = partial(load_sample, "normal_he")
normal_atpase = partial(load_sample, "normal_atpase")
acute_denervation_he = partial(load_sample, "acute_denervation_he")
chronic_reinnervation_atpase = partial(load_sample, "chronic_reinnervation_atpase")
dystrophy_he = partial(load_sample, "dystrophy_he")
type2_atrophy_atpase = partial(load_sample, "type2_atrophy_atpase")
