"""What lies between and inside the fibers, with a network that draws the truth of a section."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray

import biopsy_ai.segmentation as segmentation_room
from biopsy_ai import Analysis, AnalysisConfig, analyze
from biopsy_ai.cohort import analyze_many
from biopsy_ai.errors import Cancelled, ChannelError
from biopsy_ai.formats.tables import to_json_ready
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure.condition import FLAGS
from biopsy_ai.measure.fibers import COLUMNS
from biopsy_ai.segmentation import Nuclei, Segmentation, TissueMap
from biopsy_ai.segmentation.thresholds import threshold_set
from biopsy_ai.tissue_classes import ARTEFACT, FAT

MPP = 0.5
SIDE = slice(500, 1300)


@dataclass(frozen=True)
class Truth:
    """400 µm of a dystrophy in H&E, with the lower right corner in an artefact."""

    image: NDArray[np.uint8]
    fibers: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    tissue: NDArray[np.uint8]

    def write(self, folder: Path, name: str = "section") -> Path:
        """Write the picture."""
        folder.mkdir(parents=True, exist_ok=True)
        return write(folder / f"{name}.tif", self.image)

    def segmentation(self) -> Segmentation:
        """What a perfect network draws."""
        ids, boxes = find_boxes(self.fibers)
        found, nucleus_boxes = find_boxes(self.nuclei)
        labels = np.searchsorted(found, self.nuclei).astype(np.int32) + 1
        labels[self.nuclei == 0] = 0
        return Segmentation(
            labels=self.fibers,
            mpp=(MPP, MPP),
            ids=ids,
            boxes=boxes,
            confidence=np.full(len(ids), 0.9, np.float32),
            touches_tissue_edge=np.zeros(len(ids), bool),
            provenance={"method": "network", "model": "perfect"},
            nuclei=Nuclei(
                labels,
                np.bincount(labels.ravel())[1:],
                nucleus_boxes[:, :2] + 0.5,
                nucleus_boxes,
                np.ones(len(found), np.float32),
            ),
            tissue=TissueMap(self.tissue[1::2, 1::2], (1.0, 1.0)),
        )


def write(path: Path, pixels: NDArray[Any], mpp: float = MPP, **options: Any) -> Path:
    per_cm = (1e4 / mpp, 1e4 / mpp)
    tifffile.imwrite(path, pixels, resolution=per_cm, resolutionunit="CENTIMETER", **options)
    return path


@pytest.fixture(scope="module")
def truth(repository: Path) -> Truth:
    folder = repository / "data" / "sample_slides"
    image = tifffile.imread(folder / "dystrophy_he.tif")[SIDE, SIDE]
    fibers, nuclei, tissue = (
        tifffile.imread(folder / "truth" / f"dystrophy_he_{name}.tif")[SIDE, SIDE]
        for name in ("fibers", "nuclei", "tissue")
    )
    tissue = tissue.astype(np.uint8)
    tissue[600:, 600:] = ARTEFACT
    return Truth(image, fibers, nuclei, tissue)


@pytest.fixture
def calls(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the network by one that draws the truth; its calls are listed."""
    seen: list[dict[str, Any]] = []

    def draw(slide: Any, config: Any, **options: Any) -> Segmentation:
        seen.append(options)
        options["progress"] and options["progress"]("segment", 1, 1)
        return truth.segmentation()

    model = SimpleNamespace(
        spec={"name": "perfect"}, weights_sha256="0" * 64, draws_nuclei=True, draws_tissue=True
    )
    monkeypatch.setattr(segmentation_room, "load_model", lambda name, **_: model)
    monkeypatch.setattr(segmentation_room, "segment_fibers", draw)
    return seen


@pytest.fixture
def analysis(truth: Truth, calls: list[dict[str, Any]], tmp_path: Path) -> Analysis:
    return analyze(truth.write(tmp_path), AnalysisConfig(stain="he"))


def test_columns_of_the_fiber_table(analysis: Analysis) -> None:
    fibers = analysis.fibers
    assert fibers.columns.tolist() == [
        *COLUMNS[:-1],
        *("n_nuclei", "n_internal_nuclei", "is_centrally_nucleated", "fascicle", "layer"),
        *FLAGS,
        *("condition", "condition_reason", "core", "core_depth_ratio"),
        *("type", "type_posterior", "type_i_posterior"),
        *("group", "is_enclosed", "is_atrophic", "is_angular_atrophic"),
        *("is_hypertrophic", "atrophy_cluster"),
        "excluded",
    ]
    assert fibers["label"].tolist() == analysis.segmentation.ids.tolist()
    assert fibers["n_nuclei"].sum() > len(fibers)
    assert not fibers["n_nuclei"].isna().any()
    assert set(fibers["condition"]) >= {"normal"}


def test_nuclei_lie_in_their_fibers(analysis: Analysis, truth: Truth) -> None:
    nuclei = analysis.nuclei
    assert nuclei is not None
    assert analysis.segmentation.nuclei is not None
    assert len(nuclei) == len(analysis.segmentation.nuclei)
    assert nuclei["hematoxylin"].median() > 0.2
    per_fiber = nuclei.loc[nuclei["fiber"] > 0, "fiber"].value_counts()
    counted = analysis.fibers.set_index("label")["n_nuclei"]
    assert (counted[per_fiber.index] == per_fiber).all()
    summary = analysis.summary["nuclei"]
    assert summary["assessable"]
    kept = analysis.fibers["excluded"] == ""
    internal = (analysis.fibers["n_internal_nuclei"] > 0)[kept].mean()
    assert summary["internal_fiber_percent"] == pytest.approx(100 * internal)
    assert summary["n_fibers"] == kept.sum()
    area = analysis.summary["tissue"]["area_um2"]
    interstitial = summary["interstitial"]
    assert interstitial["per_mm2_tissue"] == pytest.approx(1e6 * interstitial["n"] / area)


def test_composition_is_that_of_the_class_map(analysis: Analysis, truth: Truth) -> None:
    tissue = analysis.summary["tissue"]
    counts = np.bincount(truth.tissue.ravel(), minlength=7)
    whole = counts[1:6].sum()
    assert tissue["assessable"]
    assert tissue["fat_percent"] == pytest.approx(100 * counts[FAT] / whole, abs=0.3)
    connective = 100 * counts[2:4].sum() / whole
    assert tissue["connective_percent"] == pytest.approx(connective, abs=0.3)
    assert "collagen" not in tissue


def test_fibers_in_artefacts_are_left_out_with_the_reason(analysis: Analysis) -> None:
    fibers = analysis.fibers
    deep = (fibers["centroid_y_um"] > 320) & (fibers["centroid_x_um"] > 320)
    assert deep.any()
    assert fibers.loc[deep, "excluded"].str.contains("in an artefact").all()
    both = deep & fibers["touches_border"]
    assert (fibers.loc[both, "excluded"].str.count("; ") >= 1).all()
    early = (fibers["centroid_y_um"] < 250) & (fibers["centroid_x_um"] < 250)
    assert not fibers.loc[early, "excluded"].str.contains("artefact").any()
    summary = analysis.summary
    left_out = int((fibers["excluded"] != "").sum())
    assert sum(summary["fibers"]["excluded"].values()) == left_out
    assert summary["fibers"]["n_measured"] == len(fibers) - left_out
    assert summary["quality"]["fibers"]["excluded"]["n"] == left_out
    assert summary["condition"]["artefact"]["n"] >= deep.sum()
    assert summary["condition"]["split"]["of"] <= len(fibers) - left_out


def test_fascicles_quality_and_adequacy(analysis: Analysis) -> None:
    fascicles, summary = analysis.fascicles, analysis.summary
    assert fascicles is not None
    assert summary["fascicles"]["assessable"]
    assert summary["fascicles"]["n"] == len(fascicles.table)
    assert (analysis.fibers["fascicle"] == fascicles.fibers["fascicle"]).all()
    assert summary["adequacy"]["fascicles"]["n"] == analysis.fibers["fascicle"].nunique()
    assert analysis.quality is not None
    assert summary["quality"]["n_tiles"] == len(analysis.quality)
    assert summary["quality"]["excluded_percent"] == pytest.approx(6.25, abs=1), "the corner"
    json.dumps(to_json_ready(summary), allow_nan=False)


def test_the_stain_is_recognised_and_chooses_the_thresholds(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    summary = analyze(truth.write(tmp_path)).summary
    assert (summary["image"]["stain"], summary["image"]["stain_source"]) == ("he", "recognised")
    assert summary["quality"]["stain"] == "he"
    assert summary["quality"]["stain_confidence"] >= 0.6
    assert summary["nuclei"]["assessable"]
    assert calls[0]["stain"] == "he"
    assert threshold_set("nadh_sdh", fluorescent=False) == "enzyme_thresholds"


def test_a_stain_without_nuclei_is_not_assessable(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    analysis = analyze(truth.write(tmp_path), AnalysisConfig(stain="cox"))
    summary = analysis.summary
    assert summary["nuclei"] == {"assessable": False, "why_not": "the stain cox shows no nuclei"}
    assert analysis.nuclei is analysis.segmentation.nuclei is None
    for name in ("n_nuclei", "n_internal_nuclei", "is_centrally_nucleated"):
        assert analysis.fibers[name].isna().all(), "never 0"
    assert analysis.fibers["regenerating"].isna().all()
    assert summary["condition"]["regenerating"]["percent"] is None
    assert summary["tissue"]["assessable"]
    (warning,) = summary["warnings"]
    assert "given as cox" in warning


def test_a_network_without_nuclei_and_tissue_says_so(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(*_: Any, **options: Any) -> Segmentation:
        found = truth.segmentation()
        return Segmentation(**{**vars(found), "nuclei": None, "tissue": None})

    monkeypatch.setattr(segmentation_room, "segment_fibers", bare)
    analysis = analyze(truth.write(tmp_path), AnalysisConfig(stain="he"))
    summary = analysis.summary
    for part in ("nuclei", "tissue", "fascicles"):
        assert not summary[part]["assessable"]
        assert "network" in summary[part]["why_not"]
    assert analysis.fibers[["n_nuclei", "fascicle", "layer"]].isna().all(axis=None)
    assert analysis.fibers["vacuolated"].notna().any(), "the picture tells"
    assert summary["adequacy"]["fascicles"] is None
    assert summary["adequacy"]["counts"]["complete fascicles"] is None


def test_own_outlines_get_nuclei_and_tissue_of_the_network(
    truth: Truth, calls: list[dict[str, Any]], analysis: Analysis, tmp_path: Path
) -> None:
    """On a grid of their own, twice as fine, and with numbers of their own."""
    fine = np.kron(truth.fibers, np.ones((2, 2), np.int32))
    fine[fine > 0] += 1000
    path = write(tmp_path / "own.tif", fine, MPP / 2)
    image = np.kron(truth.image, np.ones((2, 2, 1), np.uint8))
    slide = write(tmp_path / "fine.tif", image, MPP / 2)
    own = analyze(slide, AnalysisConfig(stain="he"), fibers=path)
    assert own.segmentation.mpp == pytest.approx((MPP / 2, MPP / 2))
    assert own.segmentation.nuclei is not None
    assert own.segmentation.nuclei.mpp == (MPP, MPP)
    assert own.fibers["label"].tolist() == (analysis.fibers["label"] + 1000).tolist()
    for name in ("n_nuclei", "n_internal_nuclei", "is_centrally_nucleated", "fascicle", "layer"):
        pd.testing.assert_series_equal(own.fibers[name], analysis.fibers[name])
    for name in ("fat_percent", "connective_percent"):
        assert own.summary["tissue"][name] == pytest.approx(analysis.summary["tissue"][name])
    made_by = own.summary["provenance"]
    assert made_by["segmentation"]["method"] == "outlines"
    assert made_by["segmentation"]["nuclei_and_tissue"]["model"] == "perfect"
    assert made_by["weights_sha256"] == "0" * 64


def test_own_outlines_without_a_slide(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    analysis = analyze(None, fibers=write(tmp_path / "own.tif", truth.fibers))
    summary = analysis.summary
    assert calls == []
    assert analysis.nuclei is analysis.fascicles is analysis.quality is None
    for part in ("nuclei", "tissue", "fascicles", "quality"):
        assert not summary[part]["assessable"]
        assert "no image" in summary[part]["why_not"]
    assert summary["adequacy"]["counts"]["fibers"] == summary["fibers"]["n_measured"]
    assert (analysis.fibers["condition"] == "").all()
    assert (analysis.fibers["edge"] == analysis.fibers["touches_border"]).all()


def test_own_outlines_are_measured_where_the_network_cannot_look(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **options: Any) -> Segmentation:
        raise ChannelError("say which channel shows the border")

    monkeypatch.setattr(segmentation_room, "segment_fibers", refuses)
    path = write(tmp_path / "own.tif", truth.fibers)
    summary = analyze(truth.write(tmp_path), AnalysisConfig(stain="he"), fibers=path).summary
    assert any("Nuclei and tissue were not looked for" in text for text in summary["warnings"])
    assert not summary["tissue"]["assessable"]
    with pytest.raises(ChannelError):
        analyze(truth.write(tmp_path), AnalysisConfig(stain="he"))


def test_nuclei_of_a_fluorescence_come_from_their_channel(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    border = np.where(truth.fibers > 0, 100, 2000).astype(np.uint16)
    nuclei = np.where(truth.nuclei > 0, 1500, 100).astype(np.uint16)
    stack = np.stack([nuclei, border])
    path = write(tmp_path / "if.tif", stack, photometric="minisblack", metadata={"axes": "CYX"})
    named = analyze(path, AnalysisConfig(channels={"border": 1, "nuclei": 0}))
    assert named.summary["image"]["stain"] == "if"
    assert named.nuclei is not None
    drawn = len(np.unique(truth.nuclei)) - 1
    # some of the truth touch, and slivers at the border of the picture are no nuclei
    assert 0.85 * drawn < len(named.nuclei) <= drawn
    assert named.nuclei["hematoxylin"].isna().all()
    assert named.fibers["eosin" if "eosin" in named.fibers else "necrotic"].isna().all()
    unnamed = analyze(path, AnalysisConfig(channels={"border": 1}))
    assert "--channels nuclei=N" in unnamed.summary["nuclei"]["why_not"]
    assert unnamed.fibers["n_nuclei"].isna().all()


def test_trichrome_compares_collagen_with_the_class_map(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    blue = np.array([90, 140, 190]), np.array([190, 60, 70]), np.array([245, 245, 245])
    image = blue[2] + np.zeros((*truth.tissue.shape, 1))
    image[np.isin(truth.tissue, (2, 3))] = blue[0]
    image[truth.fibers > 0] = blue[1]
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    path = write(tmp_path / "t.tif", np.clip(image + noise, 0, 255).astype(np.uint8))
    summary = analyze(path, AnalysisConfig(stain="trichrome")).summary
    collagen = summary["tissue"]["collagen"]
    assert collagen["assessable"]
    assert collagen["connective_percent"] == pytest.approx(
        summary["tissue"]["connective_percent"], abs=0.5
    )
    assert abs(collagen["difference_points"]) < 3
    assert summary["nuclei"]["assessable"], "a trichrome shows nuclei"


def test_what_surrounds_the_fibers_is_told_and_can_be_stopped(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = truth.write(tmp_path)
    seen: list[tuple[str, int, int]] = []
    analyze(path, AnalysisConfig(stain="he"), progress=lambda *step: seen.append(step))
    steps = [(done, total) for stage, done, total in seen if stage == "measure"]
    assert steps == sorted(steps)
    assert len(steps) > 6
    assert (steps[0], steps[-1]) == ((0, 600), (600, 600))

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "measure" and done > 50:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        analyze(path, AnalysisConfig(stain="he"), progress=stop)


def test_the_cohort_compares_the_new_numbers(
    truth: Truth, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (outcome,) = analyze_many([truth.write(tmp_path / "in")], out, AnalysisConfig(stain="he"))
    assert outcome.status == "ok", outcome.reason
    (row,) = pd.read_csv(out / "cohort.csv").to_dict("records")
    summary = outcome.summary
    for name in ("fat_percent", "endomysium_percent", "perimysium_percent", "connective_percent"):
        assert row[name] == pytest.approx(summary["tissue"][name], rel=1e-4)
    internal = summary["nuclei"]["internal_fiber_percent"]
    assert row["internal_fiber_percent"] == pytest.approx(internal, rel=1e-4)
    assert row["split_fiber_percent"] == pytest.approx(summary["condition"]["split"]["percent"])
    assert row["excluded_tissue_percent"] == pytest.approx(6.25, abs=1)
    assert (row["stain"], row["recognised_stain"]) == ("he", "he")
