"""Results as files: tables, label images, QuPath GeoJSON, ImageJ RoiSet, overlays."""

from __future__ import annotations

from biopsy_ai.report.contours import (
    Polygon,
    fiber_polygons,
    fill_rings,
    from_image_xy,
    mask_polygon,
    to_image_xy,
)
from biopsy_ai.report.files import output_folder, replacing
from biopsy_ai.report.imagej import read_roiset, write_roiset
from biopsy_ai.report.label_image import read_label_image, write_label_image
from biopsy_ai.report.outline_files import Outline, ReadOutlines
from biopsy_ai.report.overlay import write_overlay
from biopsy_ai.report.qupath import read_geojson, write_geojson
from biopsy_ai.report.save import save_analysis
from biopsy_ai.report.tables import write_csv, write_fibers_csv, write_json

__all__ = [
    "Outline",
    "Polygon",
    "ReadOutlines",
    "fiber_polygons",
    "fill_rings",
    "from_image_xy",
    "mask_polygon",
    "output_folder",
    "read_geojson",
    "read_label_image",
    "read_roiset",
    "replacing",
    "save_analysis",
    "to_image_xy",
    "write_csv",
    "write_fibers_csv",
    "write_geojson",
    "write_json",
    "write_label_image",
    "write_overlay",
    "write_roiset",
]
