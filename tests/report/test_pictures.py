from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_results import fascicles_of, nuclei_of

from biopsy_ai.report.backdrop import Backdrop
from biopsy_ai.report.overlay import Classes, Dots, Numbers, Shapes
from biopsy_ai.report.pictures import (
    CONDITION_COLORS,
    NUCLEUS_COLORS,
    TISSUE_COLORS,
    Fibers,
    show_conditions,
    show_fascicles,
    show_fibers,
    show_nuclei,
    show_tissue,
)
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.tissue_classes import TISSUE_CLASSES


@pytest.fixture
def drawn(segmentation, fibers) -> Fibers:
    return Fibers.of(segmentation, fibers)


def texts(picture) -> list[str]:
    return [entry.text for entry in picture.legend]


def n_shapes(picture) -> list[int]:
    return [len(layer.polygons) for layer in picture.layers if isinstance(layer, Shapes)]


def test_every_color_belongs_to_one_thing() -> None:
    from biopsy_ai.measure.condition import CONDITIONS
    from biopsy_ai.measure.nuclei import CLASSES

    assert set(NUCLEUS_COLORS) == set(CLASSES)
    assert set(CONDITION_COLORS) == set(CONDITIONS)
    assert {"background", *TISSUE_COLORS} == set(TISSUE_CLASSES)
    for colors in (NUCLEUS_COLORS, CONDITION_COLORS, TISSUE_COLORS):
        assert len(set(colors.values())) == len(colors)


def test_fibers_that_are_left_out_have_their_own_color_and_reasons(segmentation, fibers) -> None:
    fibers.loc[5, "excluded"] = "cut by the image border; torn"
    n = len(fibers)
    n_left_out = -(-n // 5)
    picture = show_fibers(Fibers.of(segmentation, fibers))
    assert n_shapes(picture) == [n - n_left_out, n_left_out]
    assert texts(picture) == [
        f"fiber outlines ({n - n_left_out})",
        f"left out of statistics ({n_left_out}): cut by the image border {n_left_out}, torn 1",
    ]
    fibers["excluded"] = ""
    assert len(texts(show_fibers(Fibers.of(segmentation, fibers)))) == 1


def test_nuclei_are_outlined_where_large_and_dots_where_small(drawn) -> None:
    nuclei, table = nuclei_of((240, 300))
    white = np.full((240, 300, 3), 255, np.uint8)
    picture = show_nuclei(drawn, nuclei, table, Backdrop(white, 0.5))
    assert n_shapes(picture)[1:] == [2, 3, 1, 2]
    assert texts(picture)[:-1] == [
        "interstitial (2)",
        "subsarcolemmal (3)",
        "internal (1)",
        "central (2)",
    ]
    small = show_nuclei(drawn, nuclei, table, Backdrop(white, 5.0))
    dots = [layer for layer in small.layers if isinstance(layer, Dots)]
    assert [len(layer.centers_um) for layer in dots] == [2, 3, 1, 2]
    assert dots[-1].diameter > dots[0].diameter


def test_a_section_without_nuclei_says_so(drawn) -> None:
    nuclei, table = nuclei_of((240, 300), n=0)
    picture = show_nuclei(drawn, nuclei, table, Backdrop(np.zeros((240, 300, 3), np.uint8), 0.5))
    assert "central (0)" in texts(picture)


def test_tissue_is_named_with_its_share() -> None:
    tissue = TissueMap(np.zeros((120, 150), np.uint8), (1.0, 1.0))
    picture = show_tissue(tissue, {"fat_percent": 12.345, "vessel_or_nerve_percent": 0.5})
    (tint,) = picture.layers
    assert isinstance(tint, Classes)
    assert TISSUE_CLASSES.index("background") not in tint.colors
    assert {"fat 12.3 %", "vessel or nerve 0.5 %", "fiber", "artefact (no tissue)"} < set(
        texts(picture)
    )


def test_fascicles_are_numbered_and_fibers_tinted_by_depth(drawn, segmentation) -> None:
    fascicles = fascicles_of(segmentation)
    picture = show_fascicles(drawn, fascicles)
    layer = fascicles.fibers["layer"]
    by_layer = [int((layer == number).sum()) for number in (1, 2, 3)]
    assert n_shapes(picture) == [int(layer.isna().sum()), *by_layer, 2]
    (numbers,) = (layer for layer in picture.layers if isinstance(layer, Numbers))
    assert list(numbers.texts) == ["1", "2"]
    height, width = np.multiply(segmentation.labels.shape, segmentation.mpp)
    np.testing.assert_allclose(
        numbers.centers_um, [(height / 2, width / 4), (height / 2, 3 * width / 4)], atol=3
    )
    assert f"touches perimysium ({by_layer[0]})" in texts(picture)
    assert "fascicles (2, of which 1 complete)" in texts(picture)


def test_sick_fibers_are_tinted_and_others_hatched(segmentation, fibers) -> None:
    fibers["condition"] = "normal"
    fibers.loc[1, "condition"] = "split;necrotic"
    fibers.loc[2, "condition"] = "regenerating"
    fibers.loc[3, "condition"] = None
    for name in ("split", "necrotic", "regenerating", "hypercontracted"):
        fibers[name] = 0.1
    fibers["vacuolated"] = np.nan
    n, n_left_out = len(fibers), -(-len(fibers) // 5)
    picture = show_conditions(Fibers.of(segmentation, fibers))
    assert texts(picture) == [
        f"normal ({n - n_left_out - 3})",
        "necrotic (0)",
        "regenerating (1)",
        "hypercontracted (0)",
        "split (1)",
        "not assessable: vacuolated",
        "not judged (1)",
        f"left out of statistics ({n_left_out}): cut by the image border {n_left_out}",
    ]
    hatched = [layer for layer in picture.layers if isinstance(layer, Shapes) and layer.hatched]
    assert [len(layer.polygons) for layer in hatched] == [n_left_out]


def test_tables_without_conditions_show_fibers_that_were_not_judged(drawn, fibers) -> None:
    assert isinstance(fibers, pd.DataFrame)
    assert texts(show_conditions(drawn))[0] == "normal (0)"
