"""The layers of one section: made, changed in place when fibers are edited, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.report.pictures import NUCLEUS_COLORS, TISSUE_COLORS
from biopsy_ai.tissue_classes import TISSUE_CLASSES
from napari_plugin.coloring import MANY, texts
from napari_plugin.column_names import column_title
from napari_plugin.layers import (
    METADATA_KEY,
    colormap_by_label,
    colormap_in_turn,
    image_layers,
    labels_layer,
    shows_slide,
)
from napari_plugin.levels import MAX_LABEL, LabelPyramid, TablePyramid

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from biopsy_ai.review import Review
    from biopsy_ai.slides import Slide

FILLED_OPACITY, OUTLINED_OPACITY = 0.45, 0.9
"""Of the tint of fibers, through which the tissue is seen, and of their outlines. [default]"""

OUTLINE_PX = 2
"""Width of the outlines of fibers, pixels of the level that is shown. [default]"""

RIM_PX = 2
"""Width of the contour around selected fibers, pixels of the level that is shown. [default]"""

SELECTION_COLOR = (255, 255, 0)

HOVERED = ("type", "min_feret_um", "condition", "excluded")
"""Columns that the status bar tells of the fiber under the mouse."""

TABLE_LAYERS = {"groups": "group", "clusters": "atrophy_cluster"}
"""Layers that show a column of the table, hidden at first."""


class SectionLayers:
    """The layers of a review.

    Attributes
    ----------
    layers
        By name, in the order in which they lie on each other.
    """

    def __init__(self, review: Review, slide: Slide | None) -> None:
        highest = int(np.max(review.ids, initial=0))
        if highest >= MAX_LABEL:
            from biopsy_ai.errors import OutputError

            raise OutputError(
                f"{review.folder}: has a fiber with the label {highest:,}, too high to be shown. "
                "Number the fibers of the outlines from 1 on, and analyze them again."
            )
        self._review, self._slide = review, slide
        self._pyramid = LabelPyramid(review.labels)
        self._tables = {name: TablePyramid(self._pyramid, np.uint16) for name in TABLE_LAYERS}
        self._selected = TablePyramid(self._pyramid, np.uint8, RIM_PX)
        self._others: list[Image] = []  # further channels
        self._borrowed: list[Layer] = []  # layers of the user that show the slide already
        self.layers: dict[str, Layer] = {}

    def add_to(self, viewer: ViewerModel) -> None:
        """Add them to a viewer, the fibers being the active layer."""
        self._add_image(viewer)
        saved, mpp = self._review.saved, self._review.mpp
        name = str(saved.name)
        segmentation = saved.segmentation
        if segmentation.tissue is not None:
            self.layers["tissue"] = _tissue_layer(segmentation.tissue, name)
        if segmentation.nuclei is not None and saved.nuclei is not None:
            self.layers["nuclei"] = _nuclei_layer(segmentation.nuclei, saved.nuclei, name)
        if saved.fascicles is not None and saved.fascicles_mpp is not None:
            self.layers["fascicles"] = labels_layer(
                LabelPyramid(saved.fascicles).levels,
                saved.fascicles_mpp,
                f"{name} fascicles",
                colormap=colormap_in_turn(MANY),
                opacity=0.4,
                visible=False,
            )
        facts = {"folder": str(self._review.folder), "path": str(saved.slide_path or "")}
        self.layers["fibers"] = labels_layer(
            self._pyramid.levels, mpp, f"{name} fibers", opacity=FILLED_OPACITY, facts=facts
        )
        self.show_patterns()
        for key, table in self._tables.items():
            self.layers[key] = labels_layer(
                table.levels,
                mpp,
                f"{name} {key}",
                colormap=colormap_in_turn(MANY),
                visible=False,
            )
        self.layers["selection"] = labels_layer(
            self._selected.levels,
            mpp,
            f"{name} selection",
            colormap=colormap_in_turn([SELECTION_COLOR]),
            opacity=1.0,
        )
        for key, layer in self.layers.items():
            if key != "image":
                layer.metadata[METADATA_KEY]["shows"] = key
                viewer.add_layer(layer)
        viewer.layers.selection.active = self.layers["fibers"]
        viewer.canvas.overlays.scale_bar.visible = True

    def _add_image(self, viewer: ViewerModel) -> None:
        from napari.layers import Layer

        slide = self._slide
        if slide is None:
            return
        shown = [each for each in viewer.layers if shows_slide(each, slide.path, slide.mpp)]
        if shown:
            self._borrowed = shown
        else:
            shown = [Layer.create(*parts) for parts in image_layers(slide)]
            for layer in shown:
                viewer.add_layer(layer)
            self._others = shown[1:]
        self.layers["image"] = shown[0]

    @property
    def outlined(self) -> bool:
        """Whether only the outlines of the fibers are shown."""
        layer = self.layers.get("fibers")
        return layer is not None and layer.contour > 0

    @outlined.setter
    def outlined(self, only: bool) -> None:
        layer = self.layers.get("fibers")
        if layer is not None and self.outlined != only:
            layer.contour = OUTLINE_PX if only else 0
            layer.opacity = OUTLINED_OPACITY if only else FILLED_OPACITY

    def show_selection(self, labels: NDArray[np.int64]) -> None:
        """Draw a contour around some fibers."""
        self._selected.set(labels, 1)
        self._refresh("selection")

    def show_patterns(self) -> None:
        """Follow groups and clusters of the table."""
        table = self._review.table
        labels = table["label"].to_numpy(np.int64)
        for key, column in TABLE_LAYERS.items():
            numbers = np.zeros(len(labels))
            if column in table:
                numbers = pd.to_numeric(table[column]).to_numpy(float, na_value=0.0)
            self._tables[key].set(labels, np.nan_to_num(numbers).astype(np.uint16))
            self._refresh(key)

    def update(self, box: tuple[int, int, int, int]) -> None:
        """Follow what was drawn into the labels in a box."""
        self._pyramid.update(box)
        for table in (*self._tables.values(), self._selected):
            table.update()
        for key in TABLE_LAYERS:
            self._refresh(key)

    def _refresh(self, key: str) -> None:
        layer = self.layers.get(key)
        if layer is not None:
            layer.refresh(extent=False, thumbnail=False)

    def remove_from(self, viewer: ViewerModel, leaving: set[Layer]) -> None:
        """Remove those that are left, but not those that leave already or were there before."""
        kept = [*leaving, *self._borrowed]
        for layer in [*self.layers.values(), *self._others]:
            if layer in viewer.layers and not any(layer is each for each in kept):
                viewer.layers.remove(layer)

    def close(self) -> None:
        """Give the slide back, unless layers of the user need it."""
        if self._slide is not None:
            self._slide.close()
        self._others, self._borrowed = [], []


def fiber_features(table: pd.DataFrame) -> pd.DataFrame:
    """What the status bar tells of the fiber under the mouse, by label; of none, nothing."""
    features: dict[str, Any] = {"index": np.append(table["label"].to_numpy(np.int64), 0)}
    for column in HOVERED:
        if column not in table:
            continue
        if pd.api.types.is_numeric_dtype(table[column]):
            known = table[column].to_numpy(float, na_value=np.nan).round(1)
            features[column_title(column)] = np.append(known, np.nan)
        else:
            told = texts(table[column])
            if (told != "").any():
                features[column_title(column)] = [*(each or None for each in told), None]
    return pd.DataFrame(features)


def _tissue_layer(tissue: Any, name: str) -> Labels:
    listed = list(TISSUE_COLORS)
    numbers = np.array([TISSUE_CLASSES.index(each) for each in listed])
    palette = np.array(list(TISSUE_COLORS.values()), np.uint8)
    words = [each.replace("_", " ") for each in TISSUE_CLASSES]
    return labels_layer(
        LabelPyramid(tissue.classes).levels,
        tissue.mpp,
        f"{name} tissue",
        colormap=colormap_by_label(numbers, np.arange(len(listed)), palette),
        features=pd.DataFrame({"index": np.arange(len(words)), "tissue": words}),
        opacity=0.5,
        visible=False,
    )


def _nuclei_layer(nuclei: Any, table: pd.DataFrame, name: str) -> Labels:
    names = texts(table["class"])
    listed = list(NUCLEUS_COLORS)
    place = {each: i for i, each in enumerate(listed)}
    index = np.array([place.get(each, 0) for each in names], np.intp)
    palette = np.array(list(NUCLEUS_COLORS.values()), np.uint8)
    labels = table["label"].to_numpy(np.int64)
    return labels_layer(
        LabelPyramid(nuclei.labels).levels,
        nuclei.mpp,
        f"{name} nuclei",
        colormap=colormap_by_label(labels, index, palette),
        features=pd.DataFrame({"index": labels, "nucleus": names}),
        opacity=0.8,
        visible=False,
    )
