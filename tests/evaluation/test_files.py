from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from biopsy_ai.errors import OutlineReadError, PixelSizeError
from biopsy_ai.evaluation.files import evaluate_files, find_label_files


def squares(mpp: float = 0.5, field_um: float = 100.0) -> np.ndarray:
    """Four squares of 20 µm in a field, on a grid of `mpp`."""
    labels = np.zeros((round(field_um / mpp), round(field_um / mpp)), dtype=np.uint16)
    for number, (y, x) in enumerate([(10, 10), (10, 60), (60, 10), (60, 60)], start=1):
        rows, columns = (slice(round(v / mpp), round((v + 20) / mpp)) for v in (y, x))
        labels[rows, columns] = number
    return labels


def write(path: Path, labels: np.ndarray, mpp: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mpp is None:
        tifffile.imwrite(path, labels)
    else:
        per_cm = 1e4 / mpp
        tifffile.imwrite(path, labels, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    return path


def test_two_files_of_the_same_grid(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.tif", squares())
    predicted = write(tmp_path / "other.tif", np.where(squares() == 4, 0, squares()))
    table = evaluate_files(predicted, truth, mpp=0.5, shapes=False)
    assert table["image"].tolist() == ["other", "pooled"]
    for row in table.to_dict("records"):
        assert row["recall_50"] == 0.75
        assert row["precision_50"] == 1
        assert row["n_true_150_400_um2"] == 0
        assert row["n_true_over_400_um2"] == 4
        assert row["count_error_percent"] == -25


def test_a_prediction_on_our_grid_is_compared_on_that_of_the_truth(tmp_path: Path) -> None:
    truth = write(tmp_path / "section_fibers.tif", squares(0.2773))
    predicted = write(tmp_path / "results" / "section" / "fibers.tif", squares(0.5), 0.5)
    table = evaluate_files(predicted, truth, mpp=0.2773, shapes=False)
    row = table.iloc[0]
    assert row["image"] == "section"
    assert row["f1_75"] == 1
    assert row["mean_matched_iou_50"] > 0.95
    assert abs(row["csa_bias_percent"]) < 2


def test_the_pixel_size_may_follow_from_the_prediction(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.tif", squares(1.0))
    predicted = write(tmp_path / "fibers.tif", squares(0.5), 0.5)
    row = evaluate_files(predicted, truth, shapes=False).iloc[0]
    assert row["n_true_over_400_um2"] == 4
    assert row["csa_bias_um2"] == pytest.approx(0)


def test_a_given_pixel_size_overrides_that_of_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predicted = write(tmp_path / "fibers.tif", squares())
    truth = write(tmp_path / "truth.tif", squares(), 1.0)
    stated = evaluate_files(predicted, truth, shapes=False)
    assert stated["n_true_over_400_um2"].iloc[0] == 4
    assert stated.attrs["warnings"] == []
    with caplog.at_level(logging.WARNING):
        given = evaluate_files(predicted, truth, mpp=0.4, shapes=False)
    # 40 px of 0.4 µm are 16 µm.
    assert given["n_true_150_400_um2"].iloc[0] == 4
    (warning,) = given.attrs["warnings"]
    assert "truth.tif: the given pixel size of 0.4 µm contradicts the 1 µm of the file" in warning
    assert warning in caplog.text
    assert evaluate_files(predicted, truth, mpp=0.97, shapes=False).attrs["warnings"] == []


def test_without_any_pixel_size_areas_are_compared_in_percent_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", squares())
    row = evaluate_files(path, path).iloc[0]
    assert row["csa_bias_percent"] == 0
    assert math.isnan(row["csa_bias_um2"])
    assert math.isnan(row["recall_over_400_um2"])


def test_folders_are_matched_by_name_and_the_rest_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "only_predicted"):
        write(tmp_path / "results" / name / "fibers.tif", squares(), 0.5)
    (tmp_path / "results" / "cohort.csv").write_text("slide\n")
    write(tmp_path / "truth" / "a_fibers.tif", squares())
    write(tmp_path / "truth" / "b_masks.tif", np.where(squares() == 1, 0, squares()))
    write(tmp_path / "truth" / "a.tif", np.zeros((4, 4, 3), np.uint8))
    write(tmp_path / "truth" / "only_true.tif", squares())
    done = []
    with caplog.at_level(logging.WARNING):
        table = evaluate_files(
            tmp_path / "results",
            tmp_path / "truth",
            shapes=False,
            progress=lambda stage, number, whole: done.append((stage, number, whole)),
        )
    assert table["image"].tolist() == ["a", "b", "pooled"]
    assert table["precision_50"].tolist() == [1, 0.75, 0.875]
    assert [path.parent.name for path in table.attrs["without_truth"]] == ["only_predicted"]
    assert [path.name for path in table.attrs["without_prediction"]] == ["only_true.tif"]
    assert "only_true.tif" in caplog.text
    assert done == [("evaluate", 0, 2), ("evaluate", 1, 2), ("evaluate", 2, 2)]


def test_label_files_are_found_by_the_name_of_their_image(tmp_path: Path) -> None:
    for name in ("x.tif", "x_cp_masks.tif", "y_fibers.png", "z.ome.tif", "notes.txt", ".z.tif"):
        (tmp_path / name).write_bytes(b"")
    found = {name: path.name for name, path in find_label_files(tmp_path).items()}
    assert found == {"x": "x_cp_masks.tif", "y": "y_fibers.png", "z": "z.ome.tif"}
    one = write(tmp_path / "slide_truth" / "fibers.tif", squares())
    assert find_label_files(one.parent) == find_label_files(one) == {"slide": one}
    assert find_label_files(tmp_path) == {"slide": one}


def test_masks_say_where_the_truth_is_not_known(tmp_path: Path) -> None:
    half = np.where(np.arange(200)[:, None] < 100, squares(), 0).astype(np.uint16)
    mask = np.zeros((50, 50), np.uint8)
    mask[25:] = 255
    truth = write(tmp_path / "truth" / "a_fibers.tif", half)
    write(tmp_path / "truth" / "a_ignore.tif", mask)
    predicted = write(tmp_path / "a.tif", squares())
    without = evaluate_files(predicted, truth, shapes=False).iloc[0]
    assert without["precision_50"] == 0.5
    row = evaluate_files(predicted, truth, ignore=tmp_path / "truth", shapes=False).iloc[0]
    assert row["precision_50"] == 1
    assert row["n_ignored_predicted"] == 2


def half_known(folder: Path) -> tuple[Path, Path]:
    """Write predictions and truths ``a`` and ``b``; of the truths the lower half is not known."""
    half = np.where(np.arange(200)[:, None] < 100, squares(), 0).astype(np.uint16)
    for name in ("a", "b"):
        write(folder / "predicted" / f"{name}.tif", squares())
        write(folder / "truth" / f"{name}_fibers.tif", half)
    return folder / "predicted", folder / "truth"


def lower_half(rows: int = 50, columns: int = 50) -> np.ndarray:
    return np.repeat(np.arange(rows)[:, None] >= rows // 2, columns, 1).astype(np.uint8) * 255


def test_masks_that_belong_to_nothing_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predicted, truth = half_known(tmp_path)
    for name in ("a", "c"):
        write(tmp_path / "masks" / f"{name}_ignore.tif", lower_half())
    with caplog.at_level(logging.WARNING):
        table = evaluate_files(predicted, truth, ignore=tmp_path / "masks", shapes=False)
    assert table["precision_50"].tolist()[:2] == [1, 0.5]
    assert [path.name for path in table.attrs["unused_masks"]] == ["c_ignore.tif"]
    assert "c_ignore.tif: mask not used" in caplog.text
    assert evaluate_files(predicted, truth, shapes=False).attrs["unused_masks"] == []


def test_masks_of_which_none_fits_are_refused(tmp_path: Path) -> None:
    predicted, truth = half_known(tmp_path)
    mask = write(tmp_path / "masks" / "c_ignore.tif", lower_half())
    for ignore in (mask, mask.parent):
        with pytest.raises(
            OutlineReadError, match=r"no mask.*found: c;.*images: a, b\).*a_ignore\.tif"
        ):
            evaluate_files(predicted, truth, ignore=ignore, shapes=False)
    one = predicted / "a.tif", truth / "a_fibers.tif"
    with pytest.raises(OutlineReadError, match="no mask"):
        evaluate_files(*one, ignore=mask.parent, shapes=False)
    # A file that is named itself needs no such name where there is only one image.
    row = evaluate_files(*one, ignore=mask, shapes=False).iloc[0]
    assert row["precision_50"] == 1


def test_labels_are_not_taken_for_masks(tmp_path: Path) -> None:
    predicted, truth = half_known(tmp_path)
    (truth / "a_fibers.tif").rename(truth / "a_mask.tif")
    (truth / "b_fibers.tif").unlink()
    one = predicted / "a.tif", truth / "a_mask.tif"
    for ignore in (truth, one[1]):
        with pytest.raises(OutlineReadError, match="no mask"):
            evaluate_files(*one, ignore=ignore, shapes=False)
    write(truth / "a_ignore.tif", lower_half())
    table = evaluate_files(*one, ignore=truth, shapes=False)
    assert table["precision_50"].iloc[0] == 1
    assert table.attrs["unused_masks"] == []


def test_a_mask_may_bear_the_name_of_the_truth(tmp_path: Path) -> None:
    _, truth = half_known(tmp_path)
    predicted = write(tmp_path / "results" / "run7" / "fibers.tif", squares())
    write(tmp_path / "masks" / "a_ignore.tif", lower_half())
    table = evaluate_files(
        predicted, truth / "a_fibers.tif", ignore=tmp_path / "masks", shapes=False
    )
    assert table["precision_50"].iloc[0] == 1


def test_a_mask_of_another_field_is_refused(tmp_path: Path) -> None:
    predicted, truth = half_known(tmp_path)
    one = predicted / "a.tif", truth / "a_fibers.tif"
    crop = write(tmp_path / "crop.png.tif", lower_half(50, 40))
    with pytest.raises(OutlineReadError, match=r"crop\.png\.tif.*same proportion"):
        evaluate_files(*one, ignore=crop, shapes=False)
    # 200 px of 0.5 µm are 100 µm; a square crop of it has the same proportions.
    square = write(tmp_path / "square.tif", lower_half(), 0.5)
    with pytest.raises(OutlineReadError, match=r"square\.tif: covers 25 × 25 µm"):
        evaluate_files(*one, ignore=square, mpp=0.5, shapes=False)
    # On the same grid a wrong pixel size in the mask does no harm.
    wrong = write(tmp_path / "wrong.tif", lower_half(200, 200), 2.0)
    row = evaluate_files(*one, ignore=wrong, mpp=0.5, shapes=False).iloc[0]
    assert row["precision_50"] == 1


def test_partial_truth_and_ignored_borders_reach_the_metrics(tmp_path: Path) -> None:
    labels = squares()
    labels[:5] = 9
    predicted = write(tmp_path / "a.tif", labels)
    truth = write(tmp_path / "b.tif", np.where(squares() == 1, 0, squares()))
    row = evaluate_files(predicted, truth, border="ignore", partial=True, shapes=False).iloc[0]
    assert row["n_ignored_predicted"] == 1
    assert row["recall_50"] == 1
    assert math.isnan(row["precision_50"])


def test_outlines_are_drawn_over_the_field_of_the_other_file(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    path = tmp_path / "RoiSet.zip"
    rois = []
    for number, (y, x) in enumerate([(20, 20), (20, 120), (120, 20), (120, 120)], start=1):
        corners = np.array([(x, y), (x + 40, y), (x + 40, y + 40), (x, y + 40)], dtype=float)
        rois.append(roifile.ImagejRoi.frompoints(corners, name=str(number)))
    roifile.roiwrite(path, rois)
    fine = write(tmp_path / "fine.tif", squares(0.25), 0.25)
    same = write(tmp_path / "same.tif", squares(0.5))
    for predicted, truth, mpp in ((fine, path, 0.5), (path, same, 0.5), (path, same, None)):
        table = evaluate_files(predicted, truth, mpp=mpp, shapes=False)
        assert table["f1_75"].iloc[0] == 1
    with pytest.raises(OutlineReadError, match="pixel size"):
        evaluate_files(fine, path)
    with pytest.raises(OutlineReadError, match="at least one must be a label image"):
        evaluate_files(path, path)


def test_different_fields_are_refused_by_name(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.tif", squares())
    predicted = write(tmp_path / "crop.tif", squares()[:, :150])
    with pytest.raises(OutlineReadError, match=r"crop\.tif.*same field"):
        evaluate_files(predicted, truth)
    whole = write(tmp_path / "whole.tif", squares(), 0.5)
    with pytest.raises(OutlineReadError, match=r"whole\.tif.*--mpp"):
        evaluate_files(whole, truth, mpp=0.3)


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.tif", squares())
    with pytest.raises(OutlineReadError, match="no such file or folder"):
        evaluate_files(tmp_path / "none.tif", truth)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutlineReadError, match="holds no label files"):
        evaluate_files(tmp_path / "empty", truth)
    for name in ("a", "b"):
        write(tmp_path / "results" / name / "fibers.tif", squares())
    with pytest.raises(OutlineReadError, match="name files of one image alike"):
        evaluate_files(tmp_path / "results", truth)
    with pytest.raises(PixelSizeError, match=r"truth\.tif.*pixel size"):
        evaluate_files(truth, truth, mpp=-1)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(truth.read_bytes()[:100])
    with pytest.raises(OutlineReadError, match=r"broken\.tif"):
        evaluate_files(broken, truth)
