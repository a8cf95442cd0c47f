"""Files of outlines, labels and tables: read, and written under a temporary name first."""

from __future__ import annotations

from biopsy_ai.formats.class_map import ClassMap, read_class_map, write_class_map
from biopsy_ai.formats.contours import (
    Polygon,
    fiber_polygons,
    fill_rings,
    from_image_xy,
    mask_polygon,
    to_image_xy,
)
from biopsy_ai.formats.files import output_folder, replacing
from biopsy_ai.formats.imagej import read_roiset, write_roiset
from biopsy_ai.formats.label_image import read_label_image, write_label_image
from biopsy_ai.formats.outline_files import Outline, ReadOutlines
from biopsy_ai.formats.qupath import write_geojson
from biopsy_ai.formats.read_qupath import read_geojson
from biopsy_ai.formats.tables import write_csv, write_fibers_csv, write_json

__all__ = [
    "ClassMap",
    "Outline",
    "Polygon",
    "ReadOutlines",
    "fiber_polygons",
    "fill_rings",
    "from_image_xy",
    "mask_polygon",
    "output_folder",
    "read_class_map",
    "read_geojson",
    "read_label_image",
    "read_roiset",
    "replacing",
    "to_image_xy",
    "write_class_map",
    "write_csv",
    "write_fibers_csv",
    "write_geojson",
    "write_json",
    "write_label_image",
    "write_roiset",
]
