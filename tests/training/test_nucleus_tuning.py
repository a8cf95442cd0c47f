from __future__ import annotations

import numpy as np
from segmentation.drawn_maps import draw_nuclei, nucleus_maps

from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.training.nucleus_tuning import tune_nuclei


def test_faint_maps_get_low_thresholds() -> None:
    truth = draw_nuclei((120, 120), seed=1)
    maps = nucleus_maps(truth)
    assert maps.nucleus is not None
    faint = FiberMaps(**{**maps.planes, "nucleus": (maps.nucleus * 0.4).astype(np.uint8)})
    sharp, f1 = tune_nuclei([maps], [truth])
    assert f1 > 0.95
    found, f1 = tune_nuclei([faint], [truth])
    assert found.foreground < 0.4
    assert found.min_foreground <= 0.4 < sharp.min_foreground
    assert f1 <= 1
