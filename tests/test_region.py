"""The part of a section that is analyzed: what is inside, what is cut, what is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_sections import DrawnSection
from typer.testing import CliRunner

from biopsy_ai.cli import app
from biopsy_ai.config import (
    AnalysisConfig,
    MeasurementConfig,
    load_config,
    make_config,
    save_config,
)
from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import ConfigError, NoTissueError
from biopsy_ai.labels import allocate_labels
from biopsy_ai.measure.fibers import CUT_BY_BORDER, measure_fibers
from biopsy_ai.pipeline import analyze, reanalyze
from biopsy_ai.region import (
    CUT_BY_REGION,
    RegionView,
    area_um2,
    cut_fibers,
    nuclei_within,
    read_region,
    region_mask,
    within,
)
from biopsy_ai.review import Review
from biopsy_ai.saved import read_analysis
from biopsy_ai.segmentation import Segmentation
from biopsy_ai.segmentation.nuclei import Nuclei
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.slides import open_slide, tissue_mask
from biopsy_ai.tissue_classes import BACKGROUND, ENDOMYSIUM, FIBER

MPP = (0.5, 0.5)
LEFT_TWO_COLUMNS = ((0.0, 0.0), (0.0, 48.0), (72.0, 48.0), (72.0, 0.0))
"""The left half of a drawn section, which is 72 x 96 µm large: whole columns of fibers."""
THROUGH_THE_SECOND_COLUMN = ((0.0, 0.0), (0.0, 36.0), (72.0, 36.0), (72.0, 0.0))


def squares(*labels: int) -> np.ndarray:
    """A row of squares of 20 px with gaps of 4 px."""
    image = np.zeros((30, 24 * len(labels) + 4), np.int32)
    for k, label in enumerate(labels):
        image[5:25, 24 * k + 4 : 24 * k + 24] = label
    return image


def outlined(image: np.ndarray, method: str = "network", nuclei: Nuclei | None = None) -> Any:
    from biopsy_ai.labels import find_boxes

    ids, boxes = find_boxes(image)
    n = len(ids)
    return Segmentation(
        labels=image,
        mpp=MPP,
        ids=ids,
        boxes=boxes,
        confidence=np.linspace(0.5, 0.9, n).astype(np.float32),
        touches_tissue_edge=np.zeros(n, bool),
        provenance={"method": method},
        nuclei=nuclei,
    )


def write_geojson(path: Path, *rings: Any, kind: str = "annotation") -> Path:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [list(map(list, ring))]},
            "properties": {"objectType": kind},
        }
        for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


class TestGeometry:
    def test_mask_and_area(self) -> None:
        region = ((0.0, 0.0), (0.0, 10.0), (5.0, 10.0), (5.0, 0.0))
        mask = region_mask(region, (20, 40), MPP)
        assert mask.sum() == 10 * 20
        assert mask[:10, :20].all()
        assert area_um2(region, (20, 40), MPP) == pytest.approx(50)

    def test_what_lies_beyond_the_image_does_not_count(self) -> None:
        region = ((-100.0, -100.0), (-100.0, 10.0), (5.0, 10.0), (5.0, -100.0))
        assert area_um2(region, (20, 40), MPP) == pytest.approx(50)

    def test_pixels_need_not_be_square(self) -> None:
        region = ((0.0, 0.0), (0.0, 10.0), (5.0, 10.0), (5.0, 0.0))
        assert region_mask(region, (20, 20), (0.5, 1.0)).sum() == 10 * 10

    def test_view(self) -> None:
        view = RegionView(np.full((20, 40), 3, np.uint8), MPP, LEFT_TWO_COLUMNS[:1] + (
            (0.0, 10.0), (5.0, 10.0), (5.0, 0.0)))  # fmt: skip
        assert view[:, :].sum() == 3 * 200
        np.testing.assert_array_equal(view[4:12, 15:30], view[:, :][4:12, 15:30])


class TestFibers:
    def test_inside_cut_and_outside(self) -> None:
        image = squares(1, 2, 3, 4)
        region = ((0.0, 0.0), (0.0, 19.0), (15.0, 19.0), (15.0, 0.0))
        found = within(outlined(image), region)
        assert found.ids.tolist() == [1, 2]
        assert np.unique(image).tolist() == [0, 1, 2]
        cut = cut_fibers(region, found.labels, MPP, found.ids, found.boxes)
        assert cut.tolist() == [False, True]

    def test_fibers_of_the_network_are_numbered_anew(self) -> None:
        image = squares(1, 2, 3, 4)
        region = ((0.0, 25.0), (0.0, 60.0), (15.0, 60.0), (15.0, 25.0))
        found = within(outlined(image), region)
        assert found.ids.tolist() == [1, 2]
        assert image[10, 24 * 2 + 10] == 1
        assert image[10, 10] == 0
        assert found.confidence.tolist() == pytest.approx([0.5 + 0.8 / 3, 0.9])

    def test_outlines_of_the_user_keep_their_numbers(self) -> None:
        image = squares(7, 70, 700)
        region = ((0.0, 13.0), (0.0, 60.0), (15.0, 60.0), (15.0, 13.0))
        found = within(outlined(image, "outlines"), region)
        assert found.ids.tolist() == [70, 700]
        assert np.unique(image).tolist() == [0, 70, 700]

    def test_large_sections_are_held_compressed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("biopsy_ai.labels.IN_MEMORY_PX", 100)
        monkeypatch.setattr("biopsy_ai.labels.WINDOW_PX", 16)
        plain = squares(1, 2, 3, 4)
        large, classes = (allocate_labels(plain.shape, kind) for kind in (np.int32, np.uint8))
        assert not isinstance(large, np.ndarray)
        large[:, :], classes[:, :] = plain, np.where(plain, FIBER, ENDOMYSIUM)
        region = ((0.0, 25.0), (0.0, 60.0), (15.0, 60.0), (15.0, 25.0))
        segmentation = replace(outlined(plain), labels=large, tissue=TissueMap(classes, MPP))
        found = within(segmentation, region)
        expected = within(outlined(plain), region)
        np.testing.assert_array_equal(large[:, :], plain)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        assert np.count_nonzero(classes[:, :]) == 30 * (100 - 2 * (25 - 10))

    def test_a_box_that_meets_the_region_is_no_fiber_in_it(self) -> None:
        """An L around the corner of the region, which its box overlaps."""
        image = np.zeros((40, 40), np.int32)
        image[5:35, 5:10] = image[30:35, 5:35] = 1
        region = ((0.0, 8.0), (0.0, 20.0), (10.0, 20.0), (10.0, 8.0))
        assert len(within(outlined(image), region).ids) == 0

    def test_nuclei_go_by_their_center(self) -> None:
        image = np.zeros((20, 40), np.int32)
        for k, column in enumerate((2, 18, 30)):
            image[5:10, column : column + 5] = k + 1
        nuclei = Nuclei(
            labels=image,
            area_px=np.full(3, 25),
            centroid_px=np.array([(7.5, 4.5), (7.5, 20.5), (7.5, 32.5)]),
            boxes=np.array([(5, c, 10, c + 5) for c in (2, 18, 30)]),
            confidence=np.ones(3, np.float32),
        )
        region = ((0.0, 10.3), (0.0, 20.0), (10.0, 20.0), (10.0, 10.3))
        found = nuclei_within(nuclei, region)
        assert len(found) == 1
        assert np.unique(found.labels).tolist() == [0, 1]
        assert image[7, 32] == 1

    def test_tissue_ends_a_little_farther_outside(self) -> None:
        classes = np.full((60, 100), ENDOMYSIUM, np.uint8)
        region = ((0.0, 0.0), (0.0, 40.0), (60.0, 40.0), (60.0, 0.0))
        found = outlined(np.zeros((120, 200), np.int32))
        found = within(replace(found, tissue=TissueMap(classes, (1.0, 1.0))), region)
        assert found.tissue is not None
        assert (classes[:, :50] == ENDOMYSIUM).all()
        assert (classes[:, 50:] == BACKGROUND).all()

    def test_table(self) -> None:
        image = squares(1, 2, 3)
        region = ((0.0, -5.0), (0.0, 19.0), (15.0, 19.0), (15.0, -5.0))
        table = measure_fibers(image, MPP, region=region)
        assert table["excluded"].tolist() == ["", CUT_BY_REGION, CUT_BY_REGION]
        assert table["touches_border"].tolist() == [False, True, True]
        kept = measure_fibers(
            image, MPP, region=region, config=MeasurementConfig(exclude_border_fibers=False)
        )
        assert kept["excluded"].tolist() == ["", "", ""]

    def test_the_image_border_is_named_first(self) -> None:
        image = np.zeros((30, 30), np.int32)
        image[0:20, 5:25] = 1
        region = ((0.0, 0.0), (0.0, 8.0), (15.0, 8.0), (15.0, 0.0))
        assert measure_fibers(image, MPP, region=region)["excluded"].tolist() == [CUT_BY_BORDER]


class TestSettings:
    def test_written_and_read(self, tmp_path: Path) -> None:
        config = AnalysisConfig(region=LEFT_TWO_COLUMNS)
        save_config(config, tmp_path / "lab.yaml")
        assert load_config(tmp_path / "lab.yaml") == config

    def test_a_whole_section_reads_as_it_always_did(self) -> None:
        assert "region" not in AnalysisConfig().model_dump(mode="json")

    @pytest.mark.parametrize(
        ("corners", "words"),
        [
            (((0, 0), (5, 5)), "at least three corners, this one 2"),
            (((0, 0), (10, 10), (10, 0), (0, 10)), "crosses itself"),
            (((0, 0), (5, 5), (10, 10)), "crosses itself|no area"),
            (((0, 0), (0, float("nan")), (5, 5)), "finite"),
        ],
    )
    def test_what_encloses_nothing_is_refused(self, corners: Any, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            make_config(region=corners)


class TestFile:
    def test_pixels_become_um(self, tmp_path: Path) -> None:
        path = write_geojson(tmp_path / "a.geojson", [(0, 0), (40, 0), (40, 20), (0, 20), (0, 0)])
        assert read_region(path, (0.5, 0.25)) == ((0, 0), (0, 10), (10, 10), (10, 0))

    def test_fibers_beside_it_are_passed_over(self, tmp_path: Path) -> None:
        path = write_geojson(tmp_path / "a.geojson", [(0, 0), (40, 0), (40, 20)])
        content = json.loads(path.read_text())
        fiber = json.loads(json.dumps(content["features"][0]))
        fiber["properties"]["objectType"] = "detection"
        content["features"] += [fiber, fiber]
        path.write_text(json.dumps(content))
        assert len(read_region(path, MPP)) == 3

    def test_a_shape_of_another_kind_may_stand_alone(self, tmp_path: Path) -> None:
        path = write_geojson(tmp_path / "a.geojson", [(0, 0), (4, 0), (4, 2)], kind="detection")
        assert len(read_region(path, MPP)) == 3

    @pytest.mark.parametrize(
        ("rings", "words"),
        [
            ([], "at least three corners"),
            ([[(0, 0), (1, 1)]], "at least three corners"),
            ([[(0, 0), (9, 0), (9, 9)], [(0, 0), (9, 0), (9, 9)]], "holds 2 shapes"),
            ([[(0, 0), (10, 10), (20, 0), (20, 10), (0, 8)]], "crosses itself"),
        ],
    )
    def test_what_is_no_region(self, tmp_path: Path, rings: Any, words: str) -> None:
        path = write_geojson(tmp_path / "mine.geojson", *rings)
        with pytest.raises(ConfigError, match=words) as caught:
            read_region(path, MPP)
        assert "mine.geojson" in str(caught.value)

    def test_holes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.geojson"
        rings = [[(0, 0), (90, 0), (90, 90)], [(20, 5), (60, 5), (60, 30)]]
        path.write_text(json.dumps({"type": "Polygon", "coordinates": rings}))
        with pytest.raises(ConfigError, match="holes"):
            read_region(path, MPP)

    @pytest.mark.parametrize("content", ["no JSON", '{"type": "Feature", "geometry": 3}', "[[1]]"])
    def test_damaged(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "mine.geojson"
        path.write_text(content)
        with pytest.raises(ConfigError, match="mine.geojson"):
            read_region(path, MPP)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            read_region(tmp_path / "none.geojson", MPP)


class TestTissue:
    def test_of_the_region_alone_is_counted(self, section: DrawnSection) -> None:
        with open_slide(section.image) as slide:
            whole = tissue_mask(slide)
            left = tissue_mask(slide, region=LEFT_TWO_COLUMNS)
        assert left.area_um2 == pytest.approx(whole.area_um2 / 2, rel=0.05)

    def test_without_tissue(self, tmp_path: Path) -> None:
        import tifffile

        rng = np.random.default_rng(0)
        pixels = np.full((400, 3000, 3), 245, np.uint8)
        pixels[:, :800] = rng.integers(120, 200, (400, 800, 3))
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, pixels, resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
        region = ((0.0, 2000.0), (0.0, 2900.0), (300.0, 2900.0), (300.0, 2000.0))
        with open_slide(path) as slide:
            assert tissue_mask(slide, "he").area_um2 > 0
            with pytest.raises(NoTissueError, match="the region holds no tissue"):
                tissue_mask(slide, "he", region)


class TestAnalysis:
    def test_half_of_a_section(self, section: DrawnSection, fake_network: None) -> None:
        with analyze(section.image, AnalysisConfig(region=LEFT_TWO_COLUMNS)) as half:
            assert len(half.fibers) == 6
            assert half.fibers["label"].tolist() == [1, 2, 3, 4, 5, 6]
            assert (half.fibers["centroid_x_um"] < 48).all()
            assert half.fibers["excluded"].eq("").all()
            assert any("Only a region of 0.00346 mm²" in w for w in half.summary["warnings"])
            labels = np.asarray(half.segmentation.labels[:, :])
            assert np.unique(labels).tolist() == list(range(7))
            settings = half.summary["provenance"]["configuration"]
            assert make_config(**settings).region == LEFT_TWO_COLUMNS

    def test_cut_fibers_stay_and_do_not_count(
        self, section: DrawnSection, fake_network: None
    ) -> None:
        with analyze(section.image, AnalysisConfig(region=THROUGH_THE_SECOND_COLUMN)) as found:
            cut = found.fibers["excluded"] == CUT_BY_REGION
            assert cut.sum() == 3
            assert found.fibers.loc[cut, "touches_border"].all()
            # they are seen whole
            np.testing.assert_allclose(
                found.fibers.loc[cut, "area_um2"], found.fibers.loc[~cut, "area_um2"], rtol=0.02
            )
            assert found.summary["fibers"]["n_measured"] == 3

    def test_density_is_that_of_the_region(self, section: DrawnSection) -> None:
        """Outlines alone: the field is the region."""
        config = AnalysisConfig(mpp=0.5, region=LEFT_TWO_COLUMNS)
        with analyze(None, config, fibers=section.labels) as found:
            density = found.summary["fibers"]["density"]
            assert density["per"] == "field"
            assert density["area_um2"] == pytest.approx(48 * 72)
            assert density["fibers_per_mm2"] == pytest.approx(6 / (48 * 72) * 1e6)

    def test_measured_again_it_is_the_same(
        self, section: DrawnSection, tmp_path: Path, fake_network: None
    ) -> None:
        config = AnalysisConfig(region=THROUGH_THE_SECOND_COLUMN)
        with analyze(section.image, config) as found:
            found.save(tmp_path / "results")
            first = found.fibers
        saved = read_analysis(tmp_path / "results", section.image)
        with reanalyze(saved, saved.labels, Corrections()) as again:
            pd.testing.assert_frame_equal(again.fibers, first, rtol=1e-5)
            assert again.summary["fibers"]["density"] == saved.summary["fibers"]["density"]

    def test_a_fiber_drawn_anew_is_cut_as_well(
        self, section: DrawnSection, tmp_path: Path, fake_network: None
    ) -> None:
        config = AnalysisConfig(region=THROUGH_THE_SECOND_COLUMN)
        with analyze(section.image, config) as found:
            found.save(tmp_path / "results")
        review = Review.open(tmp_path / "results", user="somebody")
        try:
            cut = review.table["excluded"] == CUT_BY_REGION
            label = int(review.table["label"][cut].iloc[0])
            y, x = review.table.loc[cut, ["centroid_y_um", "centroid_x_um"]].iloc[0]
            around = np.array([(y - 6, x - 6), (y - 6, x + 6), (y + 6, x + 6), (y + 6, x - 6)])
            review.redraw(label, around)
            row = review.table[review.table["label"] == label].iloc[0]
            assert (row["excluded"], row["touches_border"]) == (CUT_BY_REGION, True)
            review.redraw(label, around - (0, 9))
            row = review.table[review.table["label"] == label].iloc[0]
            assert (row["excluded"], row["touches_border"]) == ("", False)
        finally:
            review.close()

    def test_region_beyond_the_image(self, section: DrawnSection, fake_network: None) -> None:
        far = tuple((y + 1000, x) for y, x in LEFT_TWO_COLUMNS)
        with pytest.raises(ConfigError, match="lies outside of the image, which is 96 x 72 µm"):
            analyze(section.image, AnalysisConfig(region=far))


class TestCommand:
    def run(self, *arguments: object) -> Any:
        return CliRunner().invoke(app, ["analyze", *map(str, arguments)])

    def test_region_of_one_slide(
        self, section: DrawnSection, tmp_path: Path, fake_network: None
    ) -> None:
        path = write_geojson(tmp_path / "left.geojson", [(0, 0), (96, 0), (96, 144), (0, 144)])
        out = tmp_path / "results"
        result = self.run(section.image, "--region", path, "--out", out)
        assert result.exit_code == 0, result.output
        assert "6 fibers, 6 measured" in result.stdout
        # another region is another result
        path = write_geojson(tmp_path / "left.geojson", [(0, 0), (48, 0), (48, 144), (0, 144)])
        result = self.run(section.image, "--region", path, "--out", out)
        assert "3 fibers, 3 measured" in result.stdout
        assert "already there" not in result.stdout

    def test_it_needs_one_slide(self, section: DrawnSection, tmp_path: Path) -> None:
        path = write_geojson(tmp_path / "a.geojson", [(0, 0), (96, 0), (96, 144)])
        for slides in (
            [section.image, section.labels],
            ["--fibers", section.labels, "--mpp", "0.5"],
        ):
            result = self.run(*slides, "--region", path, "--out", tmp_path / "results")
            assert result.exit_code == 2
            assert "a region is drawn on one slide" in " ".join(result.output.split())

    def test_a_file_that_is_no_region(self, section: DrawnSection, tmp_path: Path) -> None:
        path = tmp_path / "mine.geojson"
        path.write_text("{}")
        result = self.run(section.image, "--region", path, "--out", tmp_path / "results")
        assert result.exit_code == 2
        assert "mine.geojson" in result.stderr
