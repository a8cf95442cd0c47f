"""Layers of the viewer, in µm from the top left corner of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_plugin.levels import slide_levels

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap

    from biopsy_ai.slides import Slide

LayerData = tuple[Any, dict[str, Any], str]

METADATA_KEY = "biopsy_ai"
"""Under which the layers of the plugin say what they show."""

ROLE_COLORS = {"nuclei": "blue", "border": "gray", "I": "red", "IIA": "green", "IIX": "magenta"}
"""Colors of channels by what the user says that they show."""

CHANNEL_COLORS = (
    (("dapi", "hoechst", "nuclei", "405"), "blue"),
    (("laminin", "dystrophin", "border", "wga", "membrane", "caveolin"), "gray"),
    (("mhc2x", "iix", "myh1", "6h1", "647", "cy5"), "magenta"),
    (("mhc2a", "type ii", "mhc ii", "fast", "myh2", "sc-71", "488", "fitc", "gfp"), "green"),
    (("mhc1", "mhc i", "type i", "slow", "myh7", "ba-d5", "546", "568", "594"), "red"),
)
"""Colors of other channels by what their name holds, the first that fits."""

OTHER_COLORS = ("green", "magenta", "cyan", "yellow", "red", "blue")
"""For channels whose name says nothing, in turn."""

CONTRAST = (1.0, 99.8)
"""Percentiles of a channel that are shown as black and as full color. [default]"""


def in_um(mpp: tuple[float, float]) -> dict[str, Any]:
    """How a layer lies whose pixels measure so many µm (y, x)."""
    # The first pixel's center, where napari puts it, lies half a pixel into the image.
    corner = tuple(size / 2 for size in mpp)
    return {
        "scale": tuple(mpp),
        "translate": corner,
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
    }


def in_pixels() -> dict[str, Any]:
    """How a layer lies whose pixel size is not known."""
    return {"translate": (0.5, 0.5), "units": ("pixel", "pixel"), "axis_labels": ("y", "x")}


def image_layers(slide: Slide, *, why_no_mpp: str = "") -> list[LayerData]:
    """Show an open slide: one layer for color, one per channel else.

    Parameters
    ----------
    slide
        Must stay open as long as the layers live, which keep it.
    why_no_mpp
        What is wrong with the pixel size of the file: then the slide is shown in pixels.

    Returns
    -------
    list of tuple
        As readers of napari return them. The metadata hold the ``path``, the pixel size ``mpp``
        (None where it is not known, with ``why_no_mpp``), and the ``channel`` with its name.
    """
    place = in_pixels() if why_no_mpp else in_um(slide.mpp)
    facts = {
        "path": str(slide.path),
        "mpp": None if why_no_mpp else slide.mpp,
        "mpp_source": "" if why_no_mpp else slide.mpp_source,
        "why_no_mpp": why_no_mpp,
    }
    if slide.is_rgb:
        levels = slide_levels(slide)
        shown = {"name": slide.name, "rgb": True, "metadata": {METADATA_KEY: facts}}
        parts = {**shown, **_pyramid(levels), **place, **_full_range(slide)}
        return [(as_data(levels), parts, "image")]
    layers: list[LayerData] = []
    roles = {number: role for role, number in slide.channels.items()}
    names = [roles.get(i, name) for i, name in enumerate(slide.channel_names)]
    for channel, (name, color) in enumerate(zip(names, channel_colors(names), strict=True)):
        levels = slide_levels(slide, channel)
        shown = {
            "name": f"{slide.name} {name}" if slide.n_channels > 1 else slide.name,
            "rgb": False,
            "colormap": color,
            "blending": "additive",
            "contrast_limits": contrast_of(np.asarray(levels[-1])),
            "metadata": {METADATA_KEY: {**facts, "channel": channel, "channel_name": name}},
        }
        layers.append((as_data(levels), {**shown, **_pyramid(levels), **place}, "image"))
    return layers


def channel_colors(names: Sequence[str]) -> list[str]:
    """Choose a colormap for each channel by its name, no color twice where names say nothing."""
    if len(names) == 1:
        return ["gray"]
    found = [ROLE_COLORS.get(name, _color_of(name.lower())) for name in names]
    left = [color for color in OTHER_COLORS if color not in found]
    return [color or (left.pop(0) if left else "gray") for color in found]


def _color_of(name: str) -> str:
    return next((color for words, color in CHANNEL_COLORS if any(w in name for w in words)), "")


def contrast_of(overview: NDArray[Any]) -> tuple[float, float]:
    """Intensities of a channel to be shown as black and as full color."""
    values = overview[np.isfinite(overview)] if overview.dtype.kind == "f" else overview.ravel()
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, CONTRAST))
    return (low, high) if high > low else (low, low + 1.0)


def _full_range(slide: Slide) -> dict[str, Any]:
    if slide.dtype == np.uint8:
        return {}
    from biopsy_ai.slides.color import white_level

    return {"contrast_limits": (0, white_level(slide.dtype))}


def _pyramid(levels: Sequence[Any]) -> dict[str, Any]:
    return {"multiscale": len(levels) > 1}


def as_data(levels: Sequence[Any]) -> Any:
    """Levels as napari takes them: a list, or the array alone where there is one."""
    return list(levels) if len(levels) > 1 else levels[0]


def labels_layer(
    levels: Sequence[Any],
    mpp: tuple[float, float],
    name: str,
    *,
    colormap: Any = None,
    features: Any = None,
    opacity: float = 0.7,
    visible: bool = True,
    facts: Mapping[str, Any] | None = None,
) -> Labels:
    """Make a labels layer of a pyramid.

    Parameters
    ----------
    levels
        Finest first.
    mpp
        Pixel size (y, x) of the finest, µm.
    name, colormap, features, opacity, visible
        As for `napari.layers.Labels`.
    facts
        What its metadata say besides.
    """
    from napari.layers import Labels

    layer = Labels(
        as_data(levels),
        name=name,
        multiscale=len(levels) > 1,
        colormap=colormap,
        features=features,
        opacity=opacity,
        visible=visible,
        metadata={METADATA_KEY: {"mpp": tuple(mpp), **(facts or {})}},
        **in_um(mpp),
    )
    # what is drawn by hand into a layer would reach neither the review nor its log
    layer.editable = False
    return layer


def colormap_by_label(
    labels: NDArray[Any], index: NDArray[np.intp], palette: NDArray[np.uint8]
) -> DirectLabelColormap:
    """Give labels the colors of a palette.

    Parameters
    ----------
    labels : (n,) array of int
        Above 0, below `MAX_LABEL`.
    index : (n,) array of int
        Place of each label in the palette.
    palette : (k, 3) or (k, 4) array of uint8

    Notes
    -----
    napari checks every color that it is given, which takes seconds for a section, and then sorts
    labels by equal colors, one by one. Here the labels are added to the dictionary after the check,
    and what napari would find is put where it keeps it.
    """
    from napari.utils.colormaps import DirectLabelColormap

    rgba = np.ones((len(palette), 4), np.float32)
    rgba[:, : palette.shape[1]] = palette / np.float32(255)
    colormap = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent"})
    colors, labels = list(rgba), np.asarray(labels, np.int64)
    listed, places = labels.tolist(), np.asarray(index, np.int64)
    chosen = [colors[place] for place in places.tolist()]
    colormap.color_dict.update(zip(listed, chosen, strict=True))
    # 0 stands for what is not named, 1 for the background, then comes the palette
    clear = np.zeros(4, np.float32)
    places = places + 2
    by_label = {None: 0, 0: 1, **dict(zip(listed, places.tolist(), strict=True))}
    mapper = np.zeros(int(labels.max(initial=0)) + 2, np.min_scalar_type(len(palette) + 4))
    mapper[0] = 1
    mapper[labels] = places
    colormap.__dict__.update(
        _num_unique_colors=len(palette) + 2,
        _label_mapping_and_color_dict=(by_label, dict(enumerate([clear, clear, *colors]))),
        _array_map=mapper,
    )
    return colormap


def colormap_in_turn(colors: Sequence[tuple[int, int, int]]) -> CyclicLabelColormap:
    """Give labels some colors in turn, from 1 on."""
    from napari.utils.colormaps import CyclicLabelColormap

    rgba = np.ones((len(colors) + 1, 4), np.float32)
    rgba[1:, :3] = np.array(colors, np.float32) / 255
    rgba[0] = 0
    return CyclicLabelColormap(colors=rgba)


def facts_of(layer: Any) -> dict[str, Any]:
    """What the plugin noted about a layer; empty for layers of others."""
    facts = layer.metadata.get(METADATA_KEY)
    return dict(facts) if isinstance(facts, dict) else {}


def shows_slide(layer: Any, path: Path, mpp: tuple[float, float]) -> bool:
    """Whether a layer shows this slide at this pixel size, all of it or a channel."""
    facts = facts_of(layer)
    if "path" not in facts or facts.get("mpp") is None or "mpp_source" not in facts:
        return False
    same = Path(facts["path"]).resolve() == path.resolve()
    return same and bool(np.allclose(facts["mpp"], mpp, rtol=1e-6))
