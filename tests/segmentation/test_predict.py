from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from segmentation.drawn_maps import (
    MapModel,
    Maps,
    MapSlide,
    best_iou,
    draw_ellipses,
    perfect_maps,
    whole_tissue,
)

import biopsy_ai.slides
from biopsy_ai import labels as label_room
from biopsy_ai.config import AnalysisConfig, SegmentationConfig
from biopsy_ai.errors import Cancelled, ChannelError
from biopsy_ai.segmentation import predict, scratch, windows
from biopsy_ai.segmentation.predict import segment_fibers


@pytest.fixture(scope="module")
def truth() -> NDArray[np.int32]:
    return draw_ellipses((1500, 1801), seed=5)


@pytest.fixture(scope="module")
def maps(truth: NDArray[np.int32]) -> Maps:
    return perfect_maps(truth)


@pytest.fixture(autouse=True)
def known_range(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (np.zeros(3, np.float32), np.ones(3, np.float32))
    monkeypatch.setattr(biopsy_ai.slides, "intensity_range", lambda slide, tissue=None: unit)
    monkeypatch.setattr(biopsy_ai.slides, "tissue_mask", whole_tissue)


def config(tile_px: int = 1024, **settings: Any) -> AnalysisConfig:
    segmentation = SegmentationConfig(tile_px=tile_px, **settings)
    return AnalysisConfig(device="cpu", segmentation=segmentation)


def small_windows(monkeypatch: pytest.MonkeyPatch, core_px: int = 512, halo_px: int = 120) -> None:
    monkeypatch.setattr(
        predict, "cut_windows", lambda shape, _: windows.cut_windows(shape, core_px, halo_px)
    )


def test_one_tile_and_sixteen_give_the_same_fibers(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = draw_ellipses((1600, 1801), seed=5)
    slide = MapSlide(perfect_maps(truth))
    one = segment_fibers(slide, config(2048), model=MapModel())
    one_reads = len(slide.reads)
    small_windows(monkeypatch)
    sixteen = segment_fibers(slide, config(512), model=MapModel())
    assert (one_reads, len(slide.reads) - one_reads) == (1, 16)
    assert ((one.labels > 0) == (sixteen.labels > 0)).all()
    pairs = np.unique(np.stack([one.labels.ravel(), sixteen.labels.ravel()]), axis=1)
    assert len(one) == len(sixteen) == pairs.shape[1] - 1
    areas = np.bincount(truth.ravel())[1:]
    assert (best_iou(truth, sixteen.labels)[areas > 150] >= 0.9).all()
    for (rows, columns), box in zip(
        ndimage.find_objects(sixteen.labels), sixteen.boxes.tolist(), strict=True
    ):
        assert [rows.start, columns.start, rows.stop, columns.stop] == box


def test_numbers_do_not_depend_on_tiles(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    slide = MapSlide(maps)
    first = segment_fibers(slide, config(512), model=MapModel())
    second = segment_fibers(slide, config(1024, overlap_px=0), model=MapModel())
    assert (first.labels == second.labels).all()
    # Small fibers are looked at again with what lies around them in their tile.
    np.testing.assert_allclose(first.confidence, second.confidence, atol=0.01)
    once, again = (
        segment_fibers(slide, config(*given, second_look=False, **more), model=MapModel())
        for given, more in (((512,), {}), ((1024,), {"overlap_px": 0}))
    )
    assert (once.confidence == again.confidence).all()


def test_large_slides_are_the_same_on_disk(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    small_windows(monkeypatch)
    slide = MapSlide(maps)
    in_memory = segment_fibers(slide, config(512), model=MapModel())
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 1000)
    large = segment_fibers(slide, config(512), model=MapModel())
    assert not isinstance(large.labels, np.ndarray)
    assert large.labels.shape == in_memory.labels.shape
    assert (large.labels[:, :] == in_memory.labels).all()
    assert (large.boxes == in_memory.boxes).all()


def test_fiber_longer_than_the_halo_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.zeros((400, 1700), np.int32)
    truth[150:220, 50:1650] = 1
    truth[250:300, 480:540] = 2
    small_windows(monkeypatch)
    found = segment_fibers(MapSlide(perfect_maps(truth)), config(512), model=MapModel())
    assert len(found) == 2
    assert (best_iou(truth, found.labels) >= 0.95).all()
    assert sorted(found.boxes[:, 3] - found.boxes[:, 1])[1] > 1590


def test_nuclei_and_classes_come_from_the_same_pass(
    maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = MapSlide(maps)
    bare = segment_fibers(slide, config(512), model=MapModel())
    assert bare.nuclei is bare.tissue is None
    one = segment_fibers(slide, config(2048), model=MapModel(heads=True))
    small_windows(monkeypatch)
    cut = segment_fibers(slide, config(512), model=MapModel(heads=True))
    for found in (one, cut):
        assert ((found.labels > 0) == (bare.labels > 0)).all()
        assert found.nuclei is not None
        assert found.tissue is not None
        assert found.nuclei.labels.shape == (1500, 1801)
        assert found.tissue.mpp == (1.0, 1.0)
        assert found.tissue.classes.shape == (750, 901)
        assert found.tissue.classes[:, :].dtype == np.uint8
        inside = maps[0][::2, ::2] > 0.5
        assert (found.tissue.classes[: inside.shape[0], : inside.shape[1]] == inside).all()
    assert one.nuclei is not None
    assert cut.nuclei is not None
    assert len(one.nuclei) == len(cut.nuclei) > 100
    assert sorted(map(tuple, one.nuclei.boxes)) == sorted(map(tuple, cut.nuclei.boxes))


def test_tiles_without_tissue_are_skipped(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    def corner_only(slide: MapSlide, stain: str = "auto") -> Any:
        tissue = whole_tissue(slide)
        tissue.mask[:] = False
        tissue.mask[:40, :50] = True
        return tissue

    monkeypatch.setattr(biopsy_ai.slides, "tissue_mask", corner_only)
    slide = MapSlide(maps)
    found = segment_fibers(slide, config(512, overlap_px=32), model=MapModel())
    # 320 x 400 px of tissue: one tile, trimmed to whole strides, and its context
    assert slide.reads == [(0, 0, 320 + 64, 448 + 64)]
    assert 0 < len(found) <= 25
    assert found.labels[400:].max() == 0


def test_known_tissue_is_not_sought_again(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = MapSlide(maps)
    tissue = whole_tissue(slide)
    tissue.mask[40:] = False
    monkeypatch.setattr(biopsy_ai.slides, "tissue_mask", None)
    found = segment_fibers(slide, config(512), model=MapModel(), tissue=tissue)
    assert 0 < found.boxes[:, 2].max() <= 512


def test_progress_counts_up_to_the_total(maps: Maps) -> None:
    calls: list[tuple[str, int, int]] = []
    segment_fibers(
        MapSlide(maps), config(512), model=MapModel(), progress=lambda *call: calls.append(call)
    )
    assert {stage for stage, _, _ in calls} == {"segment"}
    assert len({total for _, _, total in calls}) == 1
    done = [done for _, done, _ in calls]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == calls[0][2]


@pytest.mark.parametrize("views", [1, 4])
def test_the_network_looks_as_often_as_the_settings_say(maps: Maps, views: int) -> None:
    found = segment_fibers(MapSlide(maps), config(views=views), model=MapModel())
    assert found.provenance["views"] == views


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(("stain", "gains"), [("he", True), ("atpase:4.3", True), ("if", False)])
def test_small_fibers_are_looked_at_again_in_bright_field(
    maps: Maps, stain: str, gains: bool, wanted: bool
) -> None:
    chosen = config(second_look=wanted).model_copy(update={"stain": stain})
    found = segment_fibers(MapSlide(maps), chosen, model=MapModel())
    assert found.provenance["second_look"] == (wanted and gains)


def test_cancelling_stops_all_threads(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = scratch.MapStore.close
    monkeypatch.setattr(
        scratch.MapStore, "close", lambda store: (closed.append(store), close(store))
    )

    def cancel(stage: str, done: int, total: int) -> None:
        if done >= 2:
            raise Cancelled("stopped")

    slide = MapSlide(maps)
    with pytest.raises(Cancelled):
        segment_fibers(slide, config(512), model=MapModel(), progress=cancel)
    assert len(slide.reads) < 12
    assert len(closed) == 1
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name.startswith("biopsy-ai")]


def test_errors_of_the_reader_reach_the_caller(maps: Maps) -> None:
    class Torn(MapSlide):
        def read(self, *args: Any, **kwargs: Any) -> NDArray[np.float32]:
            if len(self.reads) == 3:
                raise OSError("torn")
            return super().read(*args, **kwargs)

    with pytest.raises(OSError, match="torn"):
        segment_fibers(Torn(maps), config(512), model=MapModel())


def test_thresholds_of_the_user_win(maps: Maps) -> None:
    slide = MapSlide(maps)
    found = segment_fibers(slide, config(min_area_um2=400), model=MapModel())
    areas = np.bincount(found.labels.ravel())[1:] * 0.25
    assert areas.min() >= 400
    assert found.provenance["thresholds"]["min_area_um2"] == 400  # type: ignore[index]


@pytest.mark.parametrize(
    ("recognised", "foreground"), [(None, 0.5), ("he", 0.5), ("nadh_sdh", 0.45), ("atpase", 0.45)]
)
def test_the_recognised_stain_chooses_the_thresholds(
    maps: Maps, recognised: str | None, foreground: float
) -> None:
    found = segment_fibers(MapSlide(maps), config(2048), model=MapModel(), stain=recognised)
    assert found.provenance["thresholds"]["foreground"] == foreground  # type: ignore[index]
    enzyme = found.provenance["threshold_set"] == "enzyme_thresholds"
    assert enzyme == (foreground == 0.45)


def test_a_model_that_is_not_ready_warns(maps: Maps) -> None:
    assert "warnings" not in segment_fibers(MapSlide(maps), config(), model=MapModel()).provenance
    model = MapModel()
    model.warning = "The model mine is not ready for use."
    found = segment_fibers(MapSlide(maps), config(), model=model)
    assert found.provenance["warnings"] == [model.warning]


def test_fluorescence_uses_the_border_channel(maps: Maps) -> None:
    slide = MapSlide(maps)
    slide.is_rgb = False
    with pytest.raises(ChannelError, match="border"):
        segment_fibers(slide, config(), model=MapModel())
    slide.channels = {"border": 0}
    found = segment_fibers(slide, config(), model=MapModel())
    assert found.provenance["border_channel"] == 0
    assert found.provenance["thresholds"]["foreground"] == 0.4  # type: ignore[index]


def test_color_image_called_fluorescence_needs_a_border_channel(
    maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = MapSlide(maps)
    pink = np.full((10, 10, 3), (1, 0.7, 0.8), np.float32)
    monkeypatch.setattr(slide, "thumbnail", lambda mpp: (pink, mpp))
    called = config().model_copy(update={"stain": "if"})
    with pytest.raises(ChannelError, match=r"1 \(green\)"):
        segment_fibers(slide, called, model=MapModel())


def test_fibers_at_the_tissue_edge_are_flagged(
    maps: Maps, truth: NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    def right_half(slide: MapSlide, stain: str = "auto") -> Any:
        tissue = whole_tissue(slide)
        tissue.mask[:, 120:] = False  # glass from column 960 on
        return tissue

    monkeypatch.setattr(biopsy_ai.slides, "tissue_mask", right_half)
    monkeypatch.setattr("biopsy_ai.slides.tissue.MARGIN_UM", 0.0)
    found = segment_fibers(MapSlide(maps), config(), model=MapModel())
    right = found.boxes[:, 3]
    assert found.touches_tissue_edge[right >= 950].all()
    assert not found.touches_tissue_edge[right < 900].any()


def test_empty_slide_gives_an_empty_segmentation() -> None:
    nothing = np.zeros((200, 300), np.float32)
    found = segment_fibers(MapSlide((nothing, nothing, nothing)), config(), model=MapModel())
    assert len(found) == 0
    assert found.labels.shape == (200, 300)
    assert found.boxes.shape == (0, 4)
