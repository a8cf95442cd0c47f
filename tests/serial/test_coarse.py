from __future__ import annotations

import numpy as np
from drawn_blocks import draw_serial_section, draw_tissue

from biopsy_ai.serial.coarse import poses_by_shape
from biopsy_ai.serial.fiber_map import map_of
from biopsy_ai.serial.matching import match_sections
from biopsy_ai.serial.refinement import LocalMap, grow_matches


def test_the_shape_of_the_tissue_gives_the_position() -> None:
    tissue = draw_tissue(900.0, seed=4)
    sections = []
    for how in ({}, {"angle_deg": 160.0, "mirrored": True, "shift_um": (30.0, -20.0)}):
        labels = draw_serial_section(tissue, seed=1, **how)  # type: ignore[arg-type]
        # an oblong biopsy with a notch, far from the edges of the field
        points = tissue.points
        kept = (np.abs(points[:, 0] - 450) < 250) & (np.abs(points[:, 1] - 450) < 330)
        kept &= ~((points[:, 0] > 520) & (points[:, 1] > 600))
        labels[~np.isin(labels, np.flatnonzero(kept) + 1)] = 0
        sections.append(map_of(labels, 1.0, "section"))
    fixed, moving = sections
    best = 0.0
    for pose in poses_by_shape(fixed, moving):
        rows, columns = grow_matches(fixed, moving, pose)
        if len(rows) < 6:
            continue
        found = match_sections(
            fixed, moving, LocalMap(fixed.centers_um[rows], moving.centers_um[columns])
        )
        right = found.labels[:, 0] == found.labels[:, 1]
        best = max(best, float(right.sum() / len(fixed)))
    assert best > 0.9
