from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawn_sections import DrawnSection, draw_section

import biopsy_ai
from biopsy_ai import Analysis, AnalysisConfig, analyze, open_slide
from biopsy_ai.errors import (
    Cancelled,
    ConfigError,
    NoTissueError,
    OutlineReadError,
    PixelSizeError,
    SlideReadError,
)
from biopsy_ai.formats.tables import to_json_ready


@pytest.fixture
def analysis(section: DrawnSection, fake_network: None) -> Analysis:
    return analyze(section.image, AnalysisConfig(stain="he"))


def test_fibers_are_found_and_measured(analysis: Analysis, section: DrawnSection) -> None:
    assert analysis.name == "section"
    assert list(analysis.fibers["label"]) == list(range(1, section.n_fibers + 1))
    area = np.pi / 4 * section.diameter_um**2
    np.testing.assert_allclose(analysis.fibers["area_um2"], area, rtol=0.02)
    np.testing.assert_allclose(analysis.fibers["min_feret_um"], section.diameter_um, rtol=0.02)
    assert analysis.labels.max() == section.n_fibers


def test_summary(analysis: Analysis, section: DrawnSection) -> None:
    summary = analysis.summary
    assert summary["name"] == "section"
    assert summary["research_use_only"] == biopsy_ai.RESEARCH_USE_ONLY
    assert summary["fibers"]["n_fibers"] == section.n_fibers
    assert summary["warnings"] == []
    assert summary["outlines_mpp"] == [0.5, 0.5]
    image = summary["image"]
    assert image["shape"] == [144, 192]
    assert image["mpp"] == pytest.approx([0.5, 0.5])
    assert image["mpp_source"]
    assert (image["stain"], image["stain_source"]) == ("he", "given")
    assert image["illumination"] == "bright_field"


def test_limits_of_the_user_reach_the_summary(section: DrawnSection, fake_network: None) -> None:
    config = AnalysisConfig(sex="male", measurement={"limits": {"male_low_um": 35.0}})
    summary = analyze(section.image, config).summary
    small = summary["fibers"]["small_fibers"]["size_limits_um"][0]
    assert (small["value"], small["mark"], small["origin"]) == (35.0, "user", "sex")


def test_provenance(analysis: Analysis, section: DrawnSection) -> None:
    made_by = analysis.summary["provenance"]
    assert made_by["biopsy_ai_version"] == biopsy_ai.__version__
    assert made_by["image_file"] == str(section.image.resolve())
    assert len(made_by["image_sha256"]) == 64
    assert made_by["outlines_sha256"] is None
    assert made_by["weights_sha256"] == "0" * 64
    assert made_by["configuration"]["stain"] == "he"
    assert made_by["numpy_version"] == np.__version__
    assert made_by["torch_version"]
    assert made_by["utc_time"].endswith("+00:00")
    assert set(made_by["seconds"]) == {
        *("open", "tissue", "segment", "measure", "surroundings", "patterns", "summary"),
        *("quality", "composition", "nuclei", "interior", "type_channels"),
    }


def test_configuration_can_be_used_again(analysis: Analysis) -> None:
    values = json.loads(json.dumps(analysis.summary["provenance"]["configuration"]))
    assert AnalysisConfig(**values) == analysis.config


def test_saved_summary_is_the_one_in_memory(analysis: Analysis, tmp_path: Path) -> None:
    folder = analysis.save(tmp_path / "results")
    saved = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert saved == to_json_ready(analysis.summary)


@pytest.mark.usefixtures("fake_network")
def test_density_is_per_area_of_tissue(section: DrawnSection) -> None:
    """The glass around a biopsy does not count, be it ever so near."""
    pixels = np.pad(tifffile.imread(section.image), ((400, 400), (400, 400), (0, 0)), "edge")
    tifffile.imwrite(section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    summary = analyze(section.image).summary
    # what is spanned by 3 x 4 circles of 20 µm, 24 µm apart
    area = 48 * 72 + 2 * 10 * (48 + 72) + np.pi * 10**2
    assert summary["tissue_area_um2"] == pytest.approx(area, rel=0.1)
    density = summary["fibers"]["density"]
    assert density["per"] == "tissue"
    assert density["fibers_per_mm2"] == pytest.approx(12e6 / summary["tissue_area_um2"])


def test_tissue_is_sought_once(section: DrawnSection, monkeypatch: pytest.MonkeyPatch) -> None:
    import biopsy_ai.segmentation as room

    given = []

    def segment(slide: Any, config: Any, *, tissue: Any, **options: Any) -> Any:
        given.append(tissue)
        raise Cancelled("seen enough")

    monkeypatch.setattr(room, "load_model", lambda name, **_: None)
    monkeypatch.setattr(room, "segment_fibers", segment)
    with pytest.raises(Cancelled):
        analyze(section.image)
    (tissue,) = given
    assert tissue.mask.any()


@pytest.mark.usefixtures("fake_network")
def test_undetermined_stain_is_said(section: DrawnSection) -> None:
    """The picture is gray."""
    pixels = tifffile.imread(section.image).mean(axis=2, keepdims=True).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=2)
    tifffile.imwrite(section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    summary = analyze(section.image).summary
    assert summary["image"]["stain"] == summary["image"]["stain_source"] == "unknown"
    assert summary["quality"]["stain"] == "unknown"
    assert "--stain" in summary["nuclei"]["why_not"]


@pytest.mark.parametrize(("dark", "read_as"), [(20, "fluorescence"), (50, "bright_field")])
def test_doubt_about_the_illumination_is_told(tmp_path: Path, dark: int, read_as: str) -> None:
    """A gray field of which a quarter is light."""
    path, outlines = tmp_path / "gray.tif", tmp_path / "labels.tif"
    pixels = np.full((200, 200), dark, np.uint8)
    pixels[:50] = 200
    labels = np.zeros((200, 200), np.uint16)
    labels[20:60, 20:60] = 1
    for file, image in ((path, pixels), (outlines, labels)):
        tifffile.imwrite(file, image, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    summary = analyze(path, fibers=outlines).summary
    assert summary["image"]["illumination"] == read_as
    (warning,) = summary["warnings"]
    assert f"read as {read_as.replace('_', ' ')}" in warning
    assert "--stain" in warning
    for stain, said in (("if", "fluorescence"), ("sdh", "bright_field")):
        config = AnalysisConfig(stain=stain)
        summary = analyze(path, config, fibers=outlines).summary
        assert summary["image"]["illumination"] == said
        assert summary["warnings"] == []


@pytest.mark.usefixtures("fake_network")
def test_an_open_slide_stays_open(section: DrawnSection) -> None:
    with open_slide(section.image) as slide:
        assert analyze(slide).slide is slide
        slide.read_region(0, 0, 0, 8, 8)


@pytest.mark.usefixtures("fake_network")
def test_settings_must_agree_with_an_open_slide(section: DrawnSection) -> None:
    """Pixel size and channels are decided when a slide is opened."""
    with open_slide(section.image, mpp=0.6, channels={"border": 0}) as slide:
        with pytest.raises(ConfigError, match=r"section\.tif.*0\.6.*0\.5.*open_slide.*path"):
            analyze(slide, AnalysisConfig(mpp=0.5))
        with pytest.raises(ConfigError, match=r"0\.6 µm.*0\.6 × 0\.5 µm"):
            analyze(slide, AnalysisConfig(mpp=(0.6, 0.5)))
        for channels in ({"border": 1}, {"border": 0, "nuclei": 2}):
            with pytest.raises(ConfigError, match=r"section\.tif.*border=0.*border=.*open_slide"):
                analyze(slide, AnalysisConfig(channels=channels))
        same = AnalysisConfig(mpp=0.6000001, channels={"border": 0})
        assert analyze(slide, same).summary["image"]["mpp"] == [0.6, 0.6]
        assert analyze(slide).summary["image"]["named_channels"] == {"border": 0}
    with (
        open_slide(section.image) as slide,
        pytest.raises(ConfigError, match=r"opened without named channels.*border=1"),
    ):
        analyze(slide, AnalysisConfig(channels={"border": 1}))


@pytest.mark.usefixtures("fake_network")
def test_what_analyze_opened_is_closed_again(section: DrawnSection) -> None:
    with analyze(section.image) as analysis:
        assert analysis.slide is not None
        analysis.slide.read_region(0, 0, 0, 8, 8)
    with pytest.raises(SlideReadError, match="closed"):
        analysis.slide.read_region(0, 0, 0, 8, 8)
    assert len(analysis.fibers) == section.n_fibers
    with open_slide(section.image) as slide:
        analyze(slide).close()
        slide.read_region(0, 0, 0, 8, 8)


@pytest.mark.usefixtures("fake_network")
def test_every_stage_is_reported(section: DrawnSection) -> None:
    seen: list[tuple[str, int, int]] = []
    analyze(section.image, progress=lambda *step: seen.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == [*("open", "tissue", "segment", "measure", "contacts", "patterns")]
    for stage in stages:
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.usefixtures("fake_network")
def test_coarse_image_is_told(tmp_path: Path) -> None:
    path = draw_section(tmp_path, mpp=2.0).image
    (warning,) = analyze(path).summary["warnings"]
    assert "shapes are not" in warning


@pytest.mark.usefixtures("fake_network")
def test_contradicting_pixel_size_is_told(section: DrawnSection) -> None:
    summary = analyze(section.image, AnalysisConfig(mpp=0.6)).summary
    assert any("0.6" in warning for warning in summary["warnings"])
    assert summary["image"]["mpp"] == [0.6, 0.6]


@pytest.mark.usefixtures("fake_network")
def test_no_fibers(tmp_path: Path) -> None:
    """An image with tissue in it, none of which is muscle."""
    path = tmp_path / "fat.tif"
    pixels = np.zeros((200, 200, 3), np.uint8) + np.linspace(190, 245, 200, dtype=np.uint8)[:, None]
    tifffile.imwrite(path, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    with pytest.raises(NoTissueError, match=r"fat\.tif: no fibers found. Check"):
        analyze(path)


@pytest.mark.usefixtures("fake_network")
def test_small_image(tmp_path: Path) -> None:
    path = tmp_path / "thumbnail.png"
    tifffile.imwrite(path, np.full((63, 500, 3), 200, np.uint8))
    with pytest.raises(SlideReadError, match=r"thumbnail\.png: the image is too small \(500 x 63"):
        analyze(path, AnalysisConfig(mpp=0.5))


@pytest.mark.usefixtures("fake_network")
def test_cancel(section: DrawnSection) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled(stage)

    with pytest.raises(Cancelled):
        analyze(section.image, progress=stop)


def test_nothing_given() -> None:
    with pytest.raises(ConfigError, match="nothing to analyze"):
        analyze(None)


@pytest.mark.usefixtures("fake_network")
class TestOutlines:
    """Outlines of the user, with a network that draws neither nuclei nor tissue."""

    def test_with_the_slide(self, section: DrawnSection) -> None:
        analysis = analyze(section.image, fibers=section.labels)
        assert len(analysis.fibers) == section.n_fibers
        assert analysis.fibers["confidence"].isna().all()
        made_by = analysis.summary["provenance"]
        assert made_by["weights_sha256"] is None
        assert made_by["segmentation"]["method"] == "outlines"
        assert made_by["outlines_file"] == str(section.labels.resolve())
        assert len(made_by["outlines_sha256"]) == 64

    def test_tissue_edge_is_found_in_the_image(self, section: DrawnSection) -> None:
        """Only the outer ten of twelve fibers lie beside the glass."""
        around = ((400, 400), (400, 400))
        for path, mode in ((section.image, "edge"), (section.labels, "constant")):
            pixels = tifffile.imread(path)
            pixels = np.pad(pixels, (*around, (0, 0))[: pixels.ndim], mode)
            tifffile.imwrite(path, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        analysis = analyze(section.image, fibers=section.labels)
        facing = analysis.fibers.set_index("label")["touches_tissue_edge"]
        assert facing.dtype == bool
        assert facing[~facing].index.tolist() == [6, 7]
        assert analysis.segmentation.touches_tissue_edge.tolist() == facing.tolist()

    def test_tissue_edge_is_unknown_without_an_image(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        analysis = analyze(None, fibers=section.labels)
        assert analysis.fibers["touches_tissue_edge"].isna().all()
        folder = analysis.save(tmp_path / "results")
        header, *rows = (folder / "fibers.csv").read_text().splitlines()
        column = header.split(",").index("touches_tissue_edge")
        assert {row.split(",")[column] for row in rows} == {""}
        assert '"Touches Tissue Edge":"NaN"' in (folder / "fibers.geojson").read_text()

    def test_alone(self, section: DrawnSection) -> None:
        analysis = analyze(None, fibers=section.labels)
        assert analysis.name == "section_labels"
        assert analysis.slide is None
        assert analysis.summary["image"] is None
        assert analysis.summary["fibers"]["density"]["per"] == "field"
        area = np.pi / 4 * section.diameter_um**2
        np.testing.assert_allclose(analysis.fibers["area_um2"], area, rtol=0.02)

    def test_alone_tells_where_the_pixel_size_comes_from(
        self, section: DrawnSection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for given, source in ((None, "TIFF resolution"), (0.5, "given by the user")):
            summary = analyze(None, AnalysisConfig(mpp=given), fibers=section.labels).summary
            assert summary["outlines_mpp"] == pytest.approx([0.5, 0.5])
            assert summary["outlines_mpp_source"] == source

    def test_alone_with_another_pixel_size(self, section: DrawnSection) -> None:
        analysis = analyze(None, AnalysisConfig(mpp=1.0), fibers=section.labels)
        area = np.pi * section.diameter_um**2
        np.testing.assert_allclose(analysis.fibers["area_um2"], area, rtol=0.02)
        assert len(analysis.summary["warnings"]) == 1

    def test_alone_without_pixel_size(self, tmp_path: Path) -> None:
        labels = np.kron(np.arange(4, dtype=np.uint16).reshape(2, 2), np.ones((30, 30), np.uint16))
        tifffile.imwrite(tmp_path / "labels.tif", labels)
        with pytest.raises(PixelSizeError, match=r"labels\.tif.*--mpp"):
            analyze(None, fibers=tmp_path / "labels.tif")

    def test_labels_keep_their_numbers(self, section: DrawnSection) -> None:
        labels = tifffile.imread(section.labels)
        labels[labels == 3] = 0
        labels[labels > 0] *= 10
        path = section.labels.with_name("renumbered.tif")
        tifffile.imwrite(path, labels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        fibers = analyze(section.image, fibers=path).fibers
        assert list(fibers["label"]) == [10, 20, *range(40, 121, 10)]

    def test_objects_that_are_no_outlines_are_told(self, section: DrawnSection) -> None:
        ring = [[10, 10], [60, 10], [60, 60], [10, 60], [10, 10]]
        features = [
            {"type": "Feature", "geometry": {"type": kind, "coordinates": place}, "properties": {}}
            for kind, place in (("Polygon", [ring]), ("Point", [30, 30]))
        ]
        path = section.image.with_name("reviewed.geojson")
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        summary = analyze(section.image, fibers=path).summary
        assert summary["fibers"]["n_fibers"] == 1
        (warning,) = summary["warnings"]
        assert "reviewed.geojson: 1 object" in warning

    def test_of_another_section(self, section: DrawnSection) -> None:
        path = section.labels.with_name("cropped.tif")
        labels = tifffile.imread(section.labels)[:-20]
        tifffile.imwrite(path, labels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        with pytest.raises(OutlineReadError, match=r"cropped\.tif"):
            analyze(section.image, fibers=path)

    def test_blank_image_is_told(self, section: DrawnSection) -> None:
        """Outlines decide where muscle is; the image is needed for densities only."""
        pixels = np.full((144, 192, 3), 255, np.uint8)
        tifffile.imwrite(section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        analysis = analyze(section.image, fibers=section.labels)
        assert len(analysis.fibers) == section.n_fibers
        (warning,) = analysis.summary["warnings"]
        assert "No tissue was found" in warning
        assert analysis.summary["tissue_area_um2"] is None

    def test_results_are_read_back(self, section: DrawnSection, tmp_path: Path) -> None:
        """Every form in which outlines are written measures the same again."""
        first = analyze(section.image, fibers=section.labels)
        folder = first.save(tmp_path / "results")
        for name in ("fibers.tif", "fibers.geojson", "RoiSet.zip"):
            again = analyze(section.image, fibers=folder / name)
            np.testing.assert_array_equal(again.fibers["label"], first.fibers["label"])
            np.testing.assert_allclose(again.fibers["area_um2"], first.fibers["area_um2"])
