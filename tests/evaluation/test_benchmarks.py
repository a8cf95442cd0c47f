"""The benchmarks are scripts beside the package; their parts are tested here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from biopsy_ai.evaluation import match_fibers
from biopsy_ai.evaluation.grids import LabelField


def discs(radius: int = 20, pitch: int = 50, rows: int = 3) -> np.ndarray:
    labels = np.zeros((rows * pitch, rows * pitch), dtype=np.int32)
    y, x = np.indices(labels.shape)
    for number in range(rows**2):
        cy, cx = ((v + 0.5) * pitch for v in divmod(number, rows))
        labels[np.hypot(y + 0.5 - cy, x + 0.5 - cx) <= radius] = number + 1
    return labels


def test_the_baseline_finds_separate_pink_discs(load: Callable[[str], Any]) -> None:
    classical = load("classical")
    truth = discs()
    image = np.full((*truth.shape, 3), 245, dtype=np.uint8)
    image[truth > 0] = (220, 120, 170)
    found = classical.segment_classical(image, 0.5, classical.parameters_for("he"))
    assert found.dtype == np.int32
    matching = match_fibers(found, truth, iou_threshold=0.8)
    assert len(matching.pairs) == 9
    assert len(matching.unmatched_predicted) == 0


def test_the_baseline_reads_the_border_channel(load: Callable[[str], Any]) -> None:
    classical = load("classical")
    truth = discs(radius=24)
    image = np.zeros((*truth.shape, 2), dtype=np.uint16)
    image[..., 1] = np.where(truth > 0, 100, 4000)
    parameters = classical.parameters_for("if")
    found = classical.segment_classical(image, 0.5, parameters, border_channel=1)
    assert len(match_fibers(found, truth).pairs) == 9


def test_touching_discs_are_split_at_their_neck(load: Callable[[str], Any]) -> None:
    classical = load("classical")
    feature = (discs(radius=26) > 0).astype(np.float32)
    found = classical.segment_feature(feature, classical.ClassicalParameters(hole_um2=0.0))
    assert len(match_fibers(found, discs(radius=25), iou_threshold=0.8).pairs) == 9


def test_tuning_keeps_the_best_combination(load: Callable[[str], Any], tmp_path: Path) -> None:
    classical, datasets = load("classical"), load("datasets")
    truth = discs()
    image = np.full((*truth.shape, 3), 245, dtype=np.uint8)
    image[truth > 0] = (220, 120, 170)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    tifffile.imwrite(tmp_path / "a_fibers.tif", truth.astype(np.uint16))
    section = datasets.Section(
        "a", tmp_path / "a.tif", tmp_path / "a_fibers.tif", 0.5, "he", None, "development"
    )
    found = classical.tune([section], [{"min_area_um2": [1000.0, 60.0], "h_um": [2.0]}])
    assert found["parameters"]["min_area_um2"] == 60
    assert (found["f1_50"], found["combinations_tried"]) == (1, 2)


def test_the_manifest_says_which_image_is_for_what(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    datasets = load("datasets")
    (tmp_path / "he").mkdir()
    for name in ("img_01", "img_02", "if_1"):
        (tmp_path / "he" / f"{name}_fibers.tif").write_bytes(b"")
    (tmp_path / "manifest.csv").write_text(
        "file,stain,mpp,labels,use\n"
        'he/img_01.tif,H&E,0.25,he/img_01_fibers.tif,"train 01, development 02 and 04"\n'
        'he/img_02.tif,H&E,0.25,he/img_02_fibers.tif,"train 01, development 02 and 04"\n'
        'he/if_1.tif,"IF, channels: 0 DAPI, 3 fiber border",0.9,he/if_1_fibers.tif,development\n'
        "he/img_02_fibers.tif,label map,not stated,he/img_02_fibers.tif,train\n"
        'he/x.tif,H&E,,,"development, unlabelled"\n'
    )
    found = {s.name: (s.use, s.stain, s.mpp) for s in datasets.labeled_sections(tmp_path)}
    assert found == {
        "he/img_01": ("train", "he", 0.25),
        "he/img_02": ("development", "he", 0.25),
        "he/if_1": ("development", "if", 0.9),
    }
    assert datasets.labeled_sections(tmp_path)[2].channels() == {"border": 3}
    assert {section.shrink_um for section in datasets.labeled_sections(tmp_path)} == {0}
    with pytest.raises(SystemExit, match="--data"):
        datasets.labeled_sections(tmp_path / "none")


def test_the_table_has_a_row_per_image_and_method_and_pools(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    accuracy, datasets = load("accuracy"), load("datasets")
    truth = discs()
    sections = []
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}_fibers.tif", truth.astype(np.uint16))
        tifffile.imwrite(
            tmp_path / f"{name}.tif", np.zeros((*truth.shape, 3), np.uint8), photometric="rgb"
        )
        sections.append(
            datasets.Section(
                name,
                tmp_path / f"{name}.tif",
                tmp_path / f"{name}_fibers.tif",
                0.5,
                "he",
                None,
                "development",
            )
        )

    def perfect(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        return LabelField(path, truth, (0.5, 0.5))

    def misses_one(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        return LabelField(path, np.where(truth == 1, 0, truth), (0.5, 0.5))

    table = accuracy.table(
        sections, {"good": perfect, "poor": misses_one}, pictures=tmp_path / "pictures"
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert [row[:2] for row in rows[2:]] == [
        ["a", "good"],
        ["a", "poor"],
        ["b", "good"],
        ["b", "poor"],
        ["all he", "good"],
        ["all he", "poor"],
    ]
    by_name = dict(zip(rows[0], rows[-1], strict=True))
    assert (by_name["n true"], by_name["R"], by_name["count error %"]) == ("18", "0.889", "-11.1")
    assert by_name["found < 150 µm²"] == "–"
    assert (tmp_path / "pictures" / "poor" / "a_disagreements.png").stat().st_size > 0
    assert not (tmp_path / "pictures" / "good" / "a_disagreements.png").exists()


def test_labels_with_the_membrane_are_judged_as_published_and_converted(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    accuracy, datasets = load("accuracy"), load("datasets")
    folder = tmp_path / "if_fibersight"
    folder.mkdir()
    truth = discs(radius=12, pitch=30, rows=4)
    tifffile.imwrite(folder / "skm_rat_R7x10ta_fibers.tif", truth.astype(np.uint16))
    tifffile.imwrite(
        folder / "skm_rat_R7x10ta.tif",
        np.zeros((4, *truth.shape), np.uint16),
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    (tmp_path / "manifest.csv").write_text(
        "file,stain,mpp,labels,use\n"
        'if_fibersight/skm_rat_R7x10ta.tif,"IF, channels: 0 DAPI, 3 fiber border",1.0,'
        "if_fibersight/skm_rat_R7x10ta_fibers.tif,development\n"
    )
    (section,) = datasets.labeled_sections(tmp_path)
    assert section.shrink_um == 3.0
    converted = section.converted_truth()
    assert converted.shape == (240, 240)
    radius_um = 0.5 * np.sqrt(np.bincount(converted.ravel())[1:] / np.pi)
    np.testing.assert_allclose(radius_um, 12 - 3, atol=0.5)

    def as_converted(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        return LabelField(path, converted, (0.5, 0.5))

    lines = accuracy.table([section], {"a": as_converted}, pictures=tmp_path / "p").splitlines()
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    published, without = (dict(zip(header, row, strict=True)) for row in rows)
    assert published["image"].endswith("(published labels)")
    assert without["image"].endswith("(labels without the membrane)")
    assert (without["foreground Dice"], without["CSA bias µm² (limits)"]) == (
        "1.000",
        "+0 (+0 to +0)",
    )
    assert float(published["foreground Dice"]) == pytest.approx(2 * 0.5625 / 1.5625, abs=0.05)
    assert float(published["CSA bias %"]) == pytest.approx(-43.75, abs=5)


@pytest.mark.parametrize("script", ["accuracy", "pairs"])
def test_the_folder_of_real_images_must_be_named(
    load: Callable[[str], Any],
    script: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [script])
    with pytest.raises(SystemExit) as stopped:
        load(script).main()
    assert stopped.value.code == 2
    assert "--data" in capsys.readouterr().err


def test_small_fibers_have_a_column(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic = load("synthetic")
    # Radius 10 px of 0.5 µm: 79 µm²; radius 20 px: 314 µm².
    truth = np.hstack([discs(radius=10), discs(radius=20) + 9 * (discs(radius=20) > 0)])

    def misses_three(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        return LabelField(path, np.where(truth <= 3, 0, truth), (0.5, 0.5))

    drawn = SimpleNamespace(
        image=np.zeros((*truth.shape, 3), np.uint8),
        labels=truth,
        mpp=0.5,
        fibers=pd.DataFrame({"label": range(1, 19), "angular": False}),
    )
    monkeypatch.setattr(synthetic, "draw_section", lambda *_: drawn)
    lines = synthetic.report(misses_three, presets=["normal"], stains=["he", "nadh"]).splitlines()
    header, _, he, *_, everything = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")
    )
    for row, n in ((he, 9), (everything, 18)):
        named = dict(zip(header, row, strict=True))
        assert named["found < 150 µm²"] == f"0.667 (n {n})"
        assert named["R"] == "0.833"


def test_large_sections_are_mirrored_without_seams(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    pyramids = load("pyramids")
    y, x = np.indices((128, 192))
    block = np.dstack([y, x, np.full_like(x, 90)]).astype(np.uint8)
    whole = pyramids.mirrored(block, 0, 0, 300, 400)
    np.testing.assert_array_equal(whole[:128, :192], block)
    np.testing.assert_array_equal(whole[128:256, :192], block[::-1])
    np.testing.assert_array_equal(whole[256:300, 192:384], block[:44, ::-1])
    np.testing.assert_array_equal(pyramids.mirrored(block, 130, 200, 9, 7), whole[130:139, 200:207])
    pyramids.write_pyramid(tmp_path / "p.tif", block, (1600, 1700))
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        levels = file.series[0].levels
        assert [level.shape for level in levels] == [(1600, 1700, 3), (400, 425, 3)]
        pixels = levels[0].asarray().astype(int)
    assert np.abs(pixels - pyramids.mirrored(block, 0, 0, 1600, 1700)).mean() < 2
    assert pyramids.section_shape(1.0) == (20000, 20000)


def test_stains_are_drawn_recognised_and_counted(load) -> None:
    stains = load("stains")
    calls = stains.synthetic_calls([stains.TEST_SEED])
    assert [stain for stain, _ in calls] == list(stains.STAINS)
    right = sum(call.stain == stains.STAIN_OF.get(stain, stain) for stain, call in calls)
    assert right >= 9
    table = stains.confusion(calls)
    assert table.startswith("| drawn | he |")
    assert len(table.splitlines()) == 2 + len(calls)


def test_spoiled_corrections_are_spoiled(load):
    rules = load("rules")
    said = ["I", "IIA", "", "II"], ["split", "normal", "", "necrotic;split"]
    table = pd.DataFrame({"label": range(4), "type": said[0], "condition": said[1]})
    by_lot = rules.by_lot(table, np.random.default_rng(0))
    pairs = list(zip(by_lot["type"], by_lot["condition"], strict=True))
    assert pairs != list(zip(*said, strict=True))
    assert sorted(pairs) == sorted(zip(*said, strict=True))
    opposite = rules.exchanged(table)
    assert opposite["type"].tolist() == ["II", "I", "", "I"]
    assert opposite["condition"].tolist() == ["normal", "regenerating", "regenerating", "normal"]


def test_pictures_are_changed_as_the_variants_say(load: Callable[[str], Any]) -> None:
    robustness = load("robustness")
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 200
    assert (
        robustness.coarser(pixels, 4.0)[:, :, 0] == np.repeat([[0] * 7 + [100] + [200] * 7], 10, 0)
    ).all()
    assert robustness.coarser(pixels[..., :1], 2.0).shape == (20, 30, 1)
    assert robustness.scaled(pixels, 1.0, 0.5, 2.0)[0, -1].tolist() == [200, 100, 255]
    assert robustness.bent(pixels, 2.0)[0, -1].tolist() == [157] * 3
    assert robustness.bent(pixels.astype(np.uint16), 2.0).max() == 200
    assert robustness.faded(pixels, 0.5)[0, 0].tolist() == [64] * 3
    saved = robustness.as_jpeg(pixels, 50)
    assert saved.shape == pixels.shape
    assert 0 < np.abs(saved.astype(int) - pixels).max() < 40


def test_an_image_is_changed_outlined_and_judged(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robustness, datasets = load("robustness"), load("datasets")
    labels = discs()
    image = np.repeat((255 - 100 * (labels > 0)).astype(np.uint8)[..., None], 3, axis=2)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    tifffile.imwrite(tmp_path / "a_fibers.tif", labels.astype(np.uint16))
    section = datasets.Section(
        name="set/a",
        path=tmp_path / "a.tif",
        truth_path=tmp_path / "a_fibers.tif",
        mpp=0.5,
        stain="he",
        border_channel=None,
        use="development",
    )

    def dark(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        from scipy import ndimage

        pixels = tifffile.imread(path)[..., 0]
        return LabelField(path, ndimage.label(pixels < 200)[0].astype(np.int32), (mpp, mpp))

    assert robustness.row("as published", section, dark) == [
        "as published",
        "1.000",
        "1.000",
        "+0.0",
    ]
    assert robustness.row("1.0 µm/px", section, dark)[1] == "1.000"
    # All is dark now, so the whole image is one.
    assert robustness.row("brightness × 0.75", section, dark)[1] == "0.000"


def test_outlines_are_held_to_the_edge_in_the_picture(load: Callable[[str], Any]) -> None:
    edges = load("outline_edges")
    true, wide, narrow = discs(radius=20), discs(radius=21), discs(radius=18)
    density = cv2.GaussianBlur((true > 0).astype(np.float32), (0, 0), 1.5)
    ours, theirs = edges.edge_offsets(density, wide, narrow)
    # those at the border of the image have enough free outline, too
    assert len(ours) == len(theirs) == 9
    assert ours[:, 0] == pytest.approx(0.5, abs=0.15)
    assert theirs[:, 0] == pytest.approx(-1.0, abs=0.15)
    # 1 px of a radius of 21, and 2 px of one of 18
    assert ours[:, 1] == pytest.approx(2 / 21 * 100, abs=3)
    assert theirs[:, 1] == pytest.approx(-4 / 18 * 100, abs=4)
    nothing, _ = edges.edge_offsets(np.zeros_like(density), wide, narrow)
    assert nothing.shape == (0, 2)
