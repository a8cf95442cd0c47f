"""What each overlay shows: fibers, nuclei, tissue, fascicles and sick fibers, with their legends.

Colors are those of Okabe and Ito, which people of any color vision tell apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.formats.contours import Polygon, fiber_polygons
from biopsy_ai.formats.qupath import EXCLUDED_CLASS, FIBER_CLASS
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure.exclusion import BETWEEN_REASONS
from biopsy_ai.report.backdrop import Backdrop
from biopsy_ai.report.legend import Color, Entry
from biopsy_ai.report.overlay import Classes, Dots, Layer, Numbers, Picture, Shapes
from biopsy_ai.tissue_classes import ARTEFACT, TISSUE_CLASSES

if TYPE_CHECKING:
    from biopsy_ai.patterns.fascicles import Fascicles
    from biopsy_ai.segmentation import Segmentation
    from biopsy_ai.segmentation.nuclei import Nuclei
    from biopsy_ai.segmentation.tissue_map import TissueMap

BLUE, SKY, GREEN = (0, 114, 178), (86, 180, 233), FIBER_CLASS[1]
YELLOW, ORANGE, VERMILLION = (240, 228, 66), EXCLUDED_CLASS[1], (213, 94, 0)
PURPLE, GRAY, BLACK = (204, 121, 167), (90, 90, 90), (0, 0, 0)

NUCLEUS_COLORS: dict[str, Color] = {
    "interstitial": GREEN,
    "subsarcolemmal": SKY,
    "internal": YELLOW,
    "central": VERMILLION,
}
"""By class of nucleus, the rarest last and so on top."""

TISSUE_COLORS: dict[str, Color] = {
    "fiber": PURPLE,
    "endomysium": GREEN,
    "perimysium": BLUE,
    "fat": YELLOW,
    "vessel_or_nerve": VERMILLION,
    "artefact": BLACK,
}
"""By class of tissue; glass is not tinted."""

LAYER_COLORS: tuple[Color, ...] = (BLUE, SKY, YELLOW)
"""By layer of a fiber in its fascicle, from the outer to the inner."""

CONDITION_COLORS: dict[str, Color] = {
    "necrotic": VERMILLION,
    "regenerating": BLUE,
    "hypercontracted": BLACK,
    "split": SKY,
    "vacuolated": YELLOW,
}
"""By condition of a fiber."""

OUTLINED_NUCLEUS_PX = 6.0
"""Nuclei that are smaller in the overlay become dots. [default]"""

DOT_PX = 4.0
"""Diameter of such a dot; that of a nucleus that matters more, one inside a fiber, is half as
large again. [default]"""

SMOOTHED_PX = 5
"""Borders of fascicles are smoothed over so many pixels of their grid to each side. [default]"""


class Fibers:
    """The outlines of all fibers, to be drawn in groups.

    Parameters
    ----------
    polygons
        Outlines by label, (row, column) in label pixels.
    mpp
        Pixel size (y, x) of the label image, µm.
    table
        One row per fiber: ``label``, ``excluded`` and, where known, ``condition`` with a column of
        probabilities for each.
    """

    def __init__(
        self, polygons: Mapping[int, Polygon], mpp: tuple[float, float], table: pd.DataFrame
    ) -> None:
        self.polygons = polygons
        self.mpp = mpp
        labels = table["label"].tolist()
        reasons = table["excluded"].fillna("").astype(str).tolist()
        self.reasons = {
            label: reason for label, reason in zip(labels, reasons, strict=True) if reason
        }
        self.conditions: dict[int, str] = {}
        if "condition" in table:
            found = table["condition"].fillna("").astype(str).tolist()
            self.conditions = dict(zip(labels, found, strict=True))
        self.judged = {
            name for name in CONDITION_COLORS if name in table and table[name].notna().any()
        }

    @classmethod
    def of(cls, segmentation: Segmentation, table: pd.DataFrame) -> Fibers:
        """Trace the outlines of a segmentation."""
        polygons = fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes)
        return cls(dict(polygons), segmentation.mpp, table)

    def shapes(self, labels: Any, color: Color, **style: Any) -> Shapes:
        """Those of some labels, drawn alike."""
        members = [self.polygons[label] for label in labels if label in self.polygons]
        return Shapes(members, self.mpp, color, **style)

    def kept(self) -> list[int]:
        """Labels of the fibers that enter the statistics."""
        return [label for label in self.polygons if label not in self.reasons]

    def left_out(self) -> list[int]:
        """Labels of the others."""
        return [label for label in self.polygons if label in self.reasons]

    def why_left_out(self) -> str:
        """How many, and the reasons with their numbers; a fiber may have several."""
        left_out = self.left_out()
        number = Counter(
            reason for label in left_out for reason in self.reasons[label].split(BETWEEN_REASONS)
        )
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in number.most_common())
        return f"left out of statistics ({len(left_out):,}): {reasons}"


def show_fibers(fibers: Fibers) -> Picture:
    """Outlines, those that are left out of the statistics in another color."""
    kept, left_out = fibers.kept(), fibers.left_out()
    legend = [Entry(f"fiber outlines ({len(kept):,})", GREEN)]
    if left_out:
        legend.append(Entry(fibers.why_left_out(), ORANGE))
    # where neighbors share a line, the rarer color is on top
    return Picture([fibers.shapes(kept, GREEN), fibers.shapes(left_out, ORANGE)], legend)


def show_nuclei(fibers: Fibers, nuclei: Nuclei, table: pd.DataFrame, backdrop: Backdrop) -> Picture:
    """Nuclei by where they lie; outlined, or as dots where they are too small for that.

    Parameters
    ----------
    fibers
        Their outlines are drawn in gray.
    nuclei
        The label image.
    table
        One row per nucleus: ``label``, ``class``, ``centroid_y_um``, ``centroid_x_um``.
    backdrop
        What is drawn on.
    """
    layers: list[Layer] = [fibers.shapes(fibers.polygons, GRAY, width=1)]
    legend = []
    area_um2 = float(np.median(nuclei.area_px)) * nuclei.mpp[0] * nuclei.mpp[1] if nuclei else 0.0
    small = 2 * np.sqrt(area_um2 / np.pi) < OUTLINED_NUCLEUS_PX * backdrop.mpp
    for name, color in NUCLEUS_COLORS.items():
        rows = table[table["class"] == name]
        inside = name in ("internal", "central")
        if small:
            centers = rows[["centroid_y_um", "centroid_x_um"]].to_numpy(float)
            layers.append(Dots(centers, color, DOT_PX * (1.5 if inside else 1.0)))
        else:
            ids = rows["label"].to_numpy(np.int64)
            outlines = fiber_polygons(nuclei.labels, ids, nuclei.boxes[ids - 1])
            layers.append(Shapes([polygon for _, polygon in outlines], nuclei.mpp, color, width=2))
        legend.append(Entry(f"{name} ({len(rows):,})", color, "dot" if small else "line"))
    return Picture(layers, [*legend, Entry("fibers", GRAY)])


def show_tissue(tissue: TissueMap, composition: Mapping[str, Any]) -> Picture:
    """The class map as tints.

    Parameters
    ----------
    tissue
        The class map.
    composition
        From `biopsy_ai.measure.tissue.measure_tissue`, for the legend.
    """
    colors = {TISSUE_CLASSES.index(name): color for name, color in TISSUE_COLORS.items()}
    legend = []
    for name, color in TISSUE_COLORS.items():
        text = name.replace("_", " ")
        percent = composition.get(f"{name}_percent")
        if percent is not None:
            text += f" {percent:.1f} %"
        elif name == TISSUE_CLASSES[ARTEFACT]:
            text += " (no tissue)"
        legend.append(Entry(text, color, "area"))
    return Picture([Classes(tissue.classes, tissue.mpp, colors)], [*legend, _share_of_tissue()])


def _share_of_tissue() -> Entry:
    return Entry("% of tissue, glass not counted", sign="text")


def show_fascicles(fibers: Fibers, fascicles: Fascicles) -> Picture:
    """Fascicles outlined and numbered, their fibers tinted by how deep they lie.

    Parameters
    ----------
    fibers
        Fibers that belong to no fascicle are outlined only.
    fascicles
        Whose borders were found.
    """
    from biopsy_ai.patterns.fascicles import LAYERS

    depth = fascicles.fibers["layer"].astype("Int64").fillna(0).to_numpy(np.int64)
    labels = fascicles.fibers["label"].to_numpy(np.int64)
    layers: list[Layer] = [fibers.shapes(labels[depth < 1].tolist(), GRAY, width=1)]
    legend = []
    for layer, (name, color) in enumerate(zip(LAYERS, LAYER_COLORS, strict=True), 1):
        members = labels[depth == layer].tolist()
        layers.append(fibers.shapes(members, color, width=1, tinted=True))
        legend.append(Entry(f"{name} ({len(members):,})", color, "area"))
    outlines = outline_fascicles(fascicles)
    layers.append(Shapes(list(outlines.values()), fascicles.mpp, BLACK, width=3, halo=True))
    if outlines:
        centers = np.array([_middle(polygon) for polygon in outlines.values()]) * fascicles.mpp
        layers.append(Numbers(centers, [str(label) for label in outlines]))
    n_without = int(np.count_nonzero(depth < 1))
    complete = int(fascicles.table["complete"].astype(bool).sum())
    legend.append(Entry(f"fascicles ({len(outlines):,}, of which {complete:,} complete)", BLACK))
    if n_without:
        legend.append(Entry(f"in no fascicle ({n_without:,})", GRAY))
    return Picture(layers, legend)


def outline_fascicles(fascicles: Fascicles) -> dict[int, Polygon]:
    """Outline fascicles, in pixels of their label image, by their numbers."""
    ids, boxes = find_boxes(fascicles.labels)
    return {
        label: _smoothed(polygon) for label, polygon in fiber_polygons(fascicles.labels, ids, boxes)
    }


def _smoothed(polygon: Polygon) -> Polygon:
    """A polygon without the steps of the coarse grid that it was traced on."""
    # corners of the polygon lie far apart on straight sides: points at even distances
    ends = np.vstack([polygon, polygon[:1]])
    along = np.concatenate([[0.0], np.hypot(*np.diff(ends, axis=0).T).cumsum()])
    at = np.arange(0.0, along[-1], 1.0)
    even = np.stack([np.interp(at, along, axis) for axis in ends.T], axis=1)
    if len(even) < 3 * SMOOTHED_PX:
        return polygon
    kernel = np.hanning(2 * SMOOTHED_PX + 1)
    wrapped = np.vstack([even[-SMOOTHED_PX:], even, even[:SMOOTHED_PX]])
    axes = [np.convolve(axis, kernel / kernel.sum(), mode="valid") for axis in wrapped.T]
    return np.stack(axes, axis=1)


def _middle(polygon: Polygon) -> NDArray[np.float64]:
    """Center of mass of what a polygon encloses."""
    x, y = polygon.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum()
    if abs(area) < 1e-9:
        return np.asarray(polygon.mean(axis=0))
    return np.array(
        [((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()]
    ) / (3 * area)


def show_conditions(fibers: Fibers) -> Picture:
    """Sick fibers tinted, and fibers that are left out of the statistics hatched."""
    kept = set(fibers.kept())
    # of several conditions the most probable one stands first
    first = {label: fibers.conditions.get(label, "").split(";")[0].strip() for label in kept}
    unknown = [label for label, name in first.items() if not name]
    normal = [label for label, name in first.items() if name not in ("", *CONDITION_COLORS)]
    layers: list[Layer] = [
        fibers.shapes(unknown, GRAY, width=1),
        fibers.shapes(normal, GREEN, width=1),
        fibers.shapes(fibers.left_out(), GRAY, width=1, hatched=True),
    ]
    legend = [Entry(f"normal ({len(normal):,})", GREEN)]
    unseen = [name for name in CONDITION_COLORS if name not in fibers.judged]
    for name, color in CONDITION_COLORS.items():
        if name in unseen:
            continue
        members = [label for label, condition in first.items() if condition == name]
        layers.append(fibers.shapes(members, color, width=2, tinted=True))
        legend.append(Entry(f"{name} ({len(members):,})", color, "area"))
    if unseen:
        legend.append(Entry(f"not assessable: {', '.join(unseen)}", sign="text"))
    if unknown:
        legend.append(Entry(f"not judged ({len(unknown):,})", GRAY))
    if fibers.left_out():
        legend.append(Entry(fibers.why_left_out(), GRAY, "hatched"))
    return Picture(layers, legend)
