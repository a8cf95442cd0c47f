import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk, line

from biopsy_ai import labels as labels_room
from biopsy_ai.measure.interior import COLUMNS, measure_interior
from biopsy_ai.measure.reference import Limits, stain_vector
from biopsy_ai.slides.stain_separation import StainSeparation

MPP = (0.5, 0.5)
HEMATOXYLIN, EOSIN = stain_vector("hematoxylin"), stain_vector("eosin")


@pytest.fixture
def dyes() -> StainSeparation:
    return StainSeparation(
        ("hematoxylin", "eosin"), np.stack([HEMATOXYLIN, EOSIN]), np.full(3, 255.0, np.float32)
    )


@pytest.fixture
def fibers() -> np.ndarray:
    """Three discs of 20 µm radius: 1, 2 and 5."""
    fibers = np.zeros((100, 300), np.int32)
    for label, x in ((1, 50), (2, 150), (5, 250)):
        fibers[disk((50, x), 40)] = label
    return fibers


def stained(hematoxylin: np.ndarray, eosin: np.ndarray) -> np.ndarray:
    density = hematoxylin[..., None] * HEMATOXYLIN + eosin[..., None] * EOSIN
    return 256 * 10.0**-density - 1


def test_dyes_are_medians_inside_of_the_rim_and_outside_of_nuclei(fibers, dyes):
    amount = np.array([0.0, 0.3, 0.5, 0, 0, 0.2])[fibers]
    basophilic = np.where(fibers == 5, 0.25, 0.02)
    nuclei = np.zeros_like(fibers)
    nuclei[30:70, 30:80] = 1
    image = stained(np.where(nuclei > 0, 1.0, basophilic), amount)
    table = measure_interior(
        fibers, MPP, image=image, white=dyes.white, separation=dyes, nuclei=nuclei
    ).set_index("label")
    sparse = measure_interior(
        fibers,
        MPP,
        image=image[::2, ::2],
        image_step=2,
        white=dyes.white,
        separation=dyes,
        nuclei=nuclei,
    )
    pd.testing.assert_frame_equal(sparse.set_index("label"), table)
    assert table["eosin"].to_numpy() == pytest.approx([0.3, 0.5, 0.2], abs=0.01)
    assert table["hematoxylin"].to_numpy() == pytest.approx([0.02, 0.02, 0.25], abs=0.01)
    assert table["unevenness"].to_numpy() == pytest.approx(0, abs=0.01)
    assert table["clear_share"].tolist() == [0, 0, 0]
    assert table["density"].iloc[1] == pytest.approx(
        0.5 * EOSIN.sum() + 0.02 * HEMATOXYLIN.sum(), 0.02
    )


def test_clear_holes_count_by_area_and_specks_do_not(fibers, dyes):
    amount = np.where(fibers > 0, 0.4, 0.0)
    amount[disk((50, 50), 12)] = 0.02
    amount[48:50, 150:152] = 0.0  # 1 µm²
    table = measure_interior(
        fibers, MPP, image=stained(0 * amount, amount), white=dyes.white, separation=dyes
    )
    inner = np.pi * 36**2
    assert table["clear_share"].to_numpy() == pytest.approx([np.pi * 12**2 / inner, 0, 0], abs=0.01)


def test_the_limits_of_the_user_decide(fibers, dyes):
    amount = np.where(fibers > 0, 0.4, 0.0)
    amount[disk((50, 50), 12)] = 0.24  # 0.6 times as dense
    image = stained(0 * amount, amount)

    def clear(**changed: float) -> float:
        table = measure_interior(fibers, MPP, image=image, white=dyes.white, limits=Limits(changed))
        return table["clear_share"][0]

    assert clear() == 0
    assert clear(clear_density_share=0.65) > 0.09
    assert clear(clear_density_share=0.65, clear_hole_um2=500.0) == 0


def test_a_narrow_cleft_has_its_length_and_a_dent_has_none(fibers):
    rows, columns = line(8, 50, 50, 50)
    for shift in (-1, 0, 1):
        fibers[rows, columns + shift] = 0
    fibers[disk((50, 200), 22)] = 0  # a wide dent in fiber 2 and none in fiber 5
    fibers[disk((50, 250), 40)] = 5
    table = measure_interior(fibers, MPP).set_index("label")
    assert table.loc[1, "cleft_share"] == pytest.approx(0.5, abs=0.06)
    assert table.loc[2, "cleft_share"] < 0.2
    assert table.loc[5, "cleft_share"] < 0.1
    assert table["eosin"].isna().all()


def test_artefacts_and_glass_around(fibers):
    tissue = np.where(fibers > 0, 1, 2).astype(np.uint8)
    tissue[:, :50] = 6
    tissue[:, 150:200] = np.where(fibers[:, 150:200] > 0, 1, 0)
    table = measure_interior(fibers, MPP, tissue=tissue)
    assert table["artefact_share"].to_numpy() == pytest.approx([0.5, 0, 0], abs=0.02)
    assert table["glass_share"].to_numpy() == pytest.approx([0, 0.5, 0], abs=0.04)


def test_what_cuts_a_fiber_may_lie_a_little_off_its_outline(fibers):
    tissue = np.where(fibers > 0, 1, 2).astype(np.uint8)
    tissue[:, :7] = 6  # 1.5 to 4 µm from the first fiber
    table = measure_interior(fibers, MPP, tissue=tissue)
    assert table["artefact_share"].tolist() == [0, 0, 0]
    assert table["artefact_beside"][0] == pytest.approx(0.07, abs=0.03)
    assert table["artefact_beside"][1:].tolist() == [0, 0]


def test_clear_gaps_beside_an_outline_are_no_holes(fibers, dyes):
    amount = np.where(fibers > 0, 0.4, 0.0)
    amount[(fibers == 1) & (np.hypot(*np.ogrid[-50:50, -50:250]) > 37)] = 0.0  # 1.5 µm
    table = measure_interior(
        fibers, MPP, image=stained(0 * amount, amount), white=dyes.white, separation=dyes
    )
    assert table["clear_share"].tolist() == [0, 0, 0]


def test_result_does_not_depend_on_the_pieces(fibers, dyes, monkeypatch):
    rng = np.random.default_rng(1)
    image = rng.uniform(30, 250, (*fibers.shape, 3)).astype(np.float32)
    nuclei = (rng.random(fibers.shape) > 0.9).astype(np.int32)
    tissue = rng.integers(0, 7, fibers.shape).astype(np.uint8)

    def measured() -> pd.DataFrame:
        return measure_interior(
            fibers,
            MPP,
            image=image,
            white=dyes.white,
            separation=dyes,
            nuclei=nuclei,
            tissue=tissue,
        )

    whole = measured()
    assert whole.notna().all().all()
    for window in (30, 130):
        monkeypatch.setattr(labels_room, "WINDOW_PX", window)
        pd.testing.assert_frame_equal(measured(), whole)


def test_tiny_fibers_have_no_stain_and_no_fibers_give_an_empty_table(dyes):
    tiny = np.zeros((20, 20), np.int32)
    assert tuple(measure_interior(tiny, MPP).columns) == COLUMNS
    tiny[5:12, 5:12] = 1
    table = measure_interior(
        tiny, MPP, image=np.full((20, 20, 3), 128.0), white=dyes.white, separation=dyes
    )
    assert table[["density", "eosin", "clear_share"]].isna().all().all()


def test_arguments_that_do_not_fit_are_errors(fibers):
    with pytest.raises(ValueError, match="same grid"):
        measure_interior(fibers, MPP, tissue=np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="white"):
        measure_interior(fibers, MPP, image=np.zeros((*fibers.shape, 3)))
