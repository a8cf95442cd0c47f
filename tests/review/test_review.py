"""What a person does to a section, and what becomes of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from drawn_reviews import MPP, SIDE, center_um, corner, draw_bricks, square, upright

from biopsy_ai.errors import OutputError, ReviewError
from biopsy_ai.labels import find_boxes
from biopsy_ai.measure import measure_fibers
from biopsy_ai.review import Review, has_review
from biopsy_ai.saved import read_analysis


def row_of(review: Review, label: int) -> pd.Series:
    return review.table[review.table["label"] == label].iloc[0]


def assert_consistent(review: Review) -> None:
    """The table tells of the fibers of the label image, and of no others."""
    ids, boxes = find_boxes(review.labels)
    assert review.table["label"].tolist() == ids.tolist() == review.ids.tolist()
    assert review.boxes.tolist() == boxes.tolist()
    assert isinstance(review.table.index, pd.RangeIndex)
    assert review.table.dtypes.drop("corrected").equals(review.saved.fibers.dtypes)


def assert_same(review: Review, labels, table) -> None:
    assert np.array_equal(review.labels, labels)
    pd.testing.assert_frame_equal(review.table, table)


def test_a_section_opens_as_the_analysis_left_it(review):
    table = review.table.drop(columns="corrected")
    pd.testing.assert_frame_equal(table, review.saved.fibers)
    assert np.array_equal(review.labels, draw_bricks())
    assert review.mpp == (MPP, MPP)
    assert (review.table["corrected"] == "").all()
    assert review.undo_text == review.redo_text == ""
    assert review.undo() is None
    assert review.redo() is None
    assert not review.corrections().reviewed
    assert review.history().empty
    assert review.summary_is_current
    # looking leaves nothing behind but the lock
    assert not has_review(review.folder)
    assert not (review.folder / "review.jsonl").exists()


def test_delete_makes_background_of_fibers(review):
    change = review.delete([3, 8])
    assert (change.operation, change.removed, change.changed) == ("delete", (3, 8), ())
    y, x = corner(3)
    y1 = corner(8)[0] + SIDE
    assert change.box[:2] == (y, corner(8)[1])
    assert change.box[2:] == (y1, x + SIDE)
    assert not np.isin(review.labels, (3, 8)).any()
    assert change.text == "fibers 3 and 8 deleted"
    assert_consistent(review)


def test_merge_fills_the_gap_and_keeps_the_label_of_the_largest(review):
    before = row_of(review, 2)
    review.split(2, upright(2, 0.7))
    change = review.merge([31, 3])
    assert change.changed == (3,)
    assert change.removed == (31,)
    y, x = corner(3)
    # what is left of the brick to the line, and the 4 px between the bricks
    assert (review.labels[y + 5 : y + SIDE - 5, x - 4 : x + SIDE] == 3).all()
    merged, left = row_of(review, 3), row_of(review, 2)
    assert merged["area_um2"] == pytest.approx(0.3 * SIDE**2 / 4 + SIDE**2 / 4, rel=0.08)
    assert left["area_um2"] == pytest.approx(0.7 * before["area_um2"], rel=0.03)
    assert merged["corrected"] == left["corrected"] == "outline"
    assert np.isnan(merged["confidence"])
    assert_consistent(review)


def test_split_draws_a_line_of_background_between_the_parts(review):
    change = review.split(9, upright(9, 0.4))
    assert change.changed == (9, 31)
    assert change.removed == ()
    y, x = corner(9)
    part = review.labels[y : y + SIDE, x : x + SIDE]
    # the larger part keeps the label
    assert [int(n) for n in part[30, (0, 20, 40)]] == [31, 31, 9]
    assert ((part == 0).sum(axis=1) == 1).all()
    assert_consistent(review)


def test_parts_inherit_what_was_decided_but_not_that_the_fiber_is_right(review):
    review.set_type(9, "IIA")
    review.set_condition(9, "necrotic")
    review.exclude(9, "torn")
    review.accept(9)
    review.split(9, upright(9))
    new = row_of(review, 31)
    assert (new["type"], new["condition"]) == ("IIA", "necrotic")
    assert new["excluded"] == "excluded in review: torn"
    assert new["corrected"] == "outline;type;condition;exclusion"
    assert review.corrections().types == {9: "IIA", 31: "IIA"}
    review.undo()
    assert review.corrections().types == {9: "IIA"}


def test_a_part_that_was_given_back_gets_a_new_number(review):
    review.split(9, upright(9))
    review.undo()
    assert review.split(10, upright(10)).changed == (10, 32)


def test_redraw_replaces_an_outline_and_takes_no_pixel_of_others(review):
    before = np.array(review.labels)
    # reaches over the brick to the right
    y, x = center_um(15)
    change = review.redraw(
        15, [(y - 10, x - 10), (y - 10, x + 30), (y + 10, x + 30), (y + 10, x - 10)]
    )
    assert change.changed == (15,)
    after = np.asarray(review.labels)
    assert np.array_equal(after == 16, before == 16)
    y0, x0 = corner(15)
    assert after[y0, x0] == 0
    # one pixel is left between it and its neighbor
    assert after[y0 + 30, x0 + SIDE + 2] == 15
    assert after[y0 + 30, x0 + SIDE + 3] == 0
    assert row_of(review, 15)["min_feret_um"] == pytest.approx(20, abs=0.6)
    assert_consistent(review)


def test_draw_adds_a_fiber_where_there_is_none(review):
    review.delete(20)
    change = review.draw(square(center_um(20), 20))
    assert change.changed == (31,)
    found = row_of(review, 31)
    assert found["area_um2"] == pytest.approx(400, rel=0.02)
    # it lies where a fiber of the analysis was
    assert found["excluded"] == ""
    assert found["corrected"] == "outline"
    assert_consistent(review)


def test_a_fiber_where_none_was_has_nothing_but_measurements(results):
    labels = draw_bricks()
    labels[labels == 20] = 0
    rewrite(results, labels)
    with Review.open(results) as review:
        review.draw(square(center_um(20), 20))
        found = row_of(review, 31)
        assert found["type"] == found["condition"] == found["excluded"] == ""
        assert pd.isna(found["fascicle"])
        assert found["circularity"] > 0.7
        assert_consistent(review)


def rewrite(results, labels) -> None:
    """Give results another label image, and a table that fits it."""
    from biopsy_ai.formats.label_image import write_label_image
    from biopsy_ai.formats.tables import write_fibers_csv

    saved = read_analysis(results)
    write_label_image(results / "fibers.tif", labels, (MPP, MPP))
    present = np.unique(labels)
    write_fibers_csv(results / "fibers.csv", saved.fibers[saved.fibers["label"].isin(present)])


def test_what_changed_is_measured_as_the_analysis_measures_it(review):
    review.merge([1, 2])
    review.split(9, upright(9, 0.3))
    review.redraw(15, square(center_um(15), 22))
    ids, boxes = find_boxes(review.labels)
    expected = measure_fibers(review.labels, review.mpp, ids=ids, boxes=boxes)
    for name in ("area_um2", "perimeter_um", "min_feret_um", "circularity", "centroid_x_um"):
        np.testing.assert_allclose(review.table[name], expected[name], rtol=1e-5, err_msg=name)
    assert review.table["touches_border"].equals(expected["touches_border"])


def test_decisions_show_in_the_table(review):
    review.set_type([4, 5], "I/IIA")
    review.set_condition([4], "split;vacuolated")
    review.exclude([5, 6], "  cut\nobliquely ")
    review.accept([7])
    table = review.table.set_index("label")
    assert table["type"][[4, 5]].tolist() == ["I/IIA", "I/IIA"]
    assert table["type_posterior"][4] == 1
    assert table["type_i_posterior"][4] == 0.5
    assert table["condition"][4] == "split;vacuolated"
    assert table["condition_reason"][4] == "set in review"
    assert table["excluded"][[5, 6]].tolist() == ["excluded in review: cut obliquely"] * 2
    assert table["corrected"][[4, 5, 6, 7]].tolist() == [
        "type;condition",
        "type;exclusion",
        "exclusion",
        "accepted",
    ]
    review.include([4, 5])
    assert review.table.set_index("label")["excluded"][5] == ""
    corrections = review.corrections()
    assert corrections.types == {4: "I/IIA", 5: "I/IIA"}
    assert corrections.conditions == {4: "split;vacuolated"}
    assert corrections.exclusions == {5: "", 6: "cut obliquely"}
    assert corrections.accepted == {7}
    assert_consistent(review)


def test_several_fibers_at_once_are_one_change(review):
    change = review.set_type(range(1, 11), "II")
    assert change.changed == tuple(range(1, 11))
    assert change.box is None
    assert change.text == "10 fibers set to type II"
    assert review.undo_text == change.text
    review.undo()
    assert (review.table["type"] == "").all()


def test_changes_are_taken_back_and_made_again_one_by_one(review):
    states = [(np.array(review.labels), review.table.copy())]
    acts = (
        lambda: review.delete([1, 2]),
        lambda: review.split(9, upright(9)),
        lambda: review.set_type([9, 31], "II"),
        lambda: review.merge([31, 10]),
        lambda: review.redraw(10, square(center_um(10), 40)),
        lambda: review.exclude([10], "torn"),
        lambda: review.draw(square(center_um(1), 20)),
        lambda: review.accept([32]),
    )
    changes = []
    for act in acts:
        changes.append(act())
        states.append((np.array(review.labels), review.table.copy()))
    for change, state in zip(changes[::-1], states[-2::-1], strict=True):
        assert review.undo_text == change.text
        back = review.undo()
        assert back.operation == "undo"
        assert back.box == change.box
        assert set(change.removed) <= set(back.changed)
        assert set(back.removed) <= set(change.changed)
        assert_same(review, *state)
        assert_consistent(review)
    for change, state in zip(changes, states[1:], strict=True):
        assert review.redo_text == change.text
        again = review.redo()
        assert again.operation == "redo"
        assert (again.removed, again.changed) == (change.removed, change.changed)
        assert_same(review, *state)


def test_what_was_taken_back_is_gone_once_something_else_is_done(review):
    review.delete([1])
    review.delete([2])
    review.undo()
    review.delete([3])
    assert review.redo_text == ""
    history = review.history()
    assert history["labels"].tolist() == [(1,), (3,)]
    review.undo()
    assert review.history()["undone"].tolist() == [False, True]


def test_a_review_goes_on_where_it_stopped(results):
    with Review.open(results, user="Ada") as review:
        review.delete([1])
        review.split(9, upright(9))
        review.set_type([31], "IIX")
        review.merge([31, 10])
        review.undo()
        review.undo()
        state = np.array(review.labels), review.table.copy()
    with Review.open(results, user="Ben") as review:
        assert_same(review, *state)
        assert review.redo_text == "fiber 31 set to type IIX"
        review.redo()
        review.redo()
        assert row_of(review, 10)["area_um2"] > 1000
        assert review.redo_text == ""
        review.accept([5])
        history = review.history()
        assert history["user"].tolist() == ["Ada"] * 4 + ["Ben"]
        assert history["operation"].tolist() == ["delete", "split", "set_type", "merge", "accept"]
        record = review.corrections().record
        assert record["n_edits"] == 5
        assert record["n_by_operation"]["merge"] == 1
        assert record["reviewers"] == ["Ada", "Ben"]
        assert record["first_utc"] <= record["last_utc"]
        assert len(record["log_sha256"]) == 64
        while review.undo_text:
            review.undo()
        assert np.array_equal(review.labels, draw_bricks())
        pd.testing.assert_frame_equal(review.table.drop(columns="corrected"), review.saved.fibers)


def test_what_is_written_says_who_did_what_when_and_what_was_there(results):
    with Review.open(results, user="Ada") as review:
        review.set_type([4], "II")
        review.delete([1])
    header, typed, deleted = map(json.loads, (results / "review.jsonl").read_text().splitlines())
    assert header["format"] == "biopsy-ai review"
    assert typed["fields"] == {"4": {"type": ["", "II"]}}
    assert (typed["seq"], typed["user"], typed["operation"]) == (1, "Ada", "set_type")
    assert typed["utc"].endswith("+00:00")
    y, x = corner(1)
    assert deleted["patches"][0]["box"] == [y, x, y + SIDE, x + SIDE]
    assert deleted["removed"] == [1]


BAD = {
    "unknown fiber": (lambda r: r.delete([77]), "no fiber 77"),
    "nothing selected": (lambda r: r.accept([]), "no fiber is selected"),
    "one fiber merged": (lambda r: r.merge([4]), "two or more"),
    "same fiber twice": (lambda r: r.merge([4, 4]), "two or more"),
    "too far": (lambda r: r.merge([1, 3]), "fiber 3 lies 34 µm from the others"),
    "far away": (lambda r: r.merge([1, 30]), "from the others"),
    "line beside": (lambda r: r.split(9, upright(10)), "does not part fiber 9"),
    "line ends inside": (lambda r: r.split(9, [(0, 0), center_um(9)]), "does not part"),
    "line of one point": (lambda r: r.split(9, [center_um(9)]), "two or more points"),
    "cuts off a sliver": (lambda r: r.split(9, upright(9, 0.005)), "does not part|cuts off less"),
    "split of no fiber": (lambda r: r.split(0, upright(9)), "no fiber 0"),
    "outline of two points": (lambda r: r.redraw(9, upright(9)), "three or more"),
    "outline is elsewhere": (lambda r: r.redraw(9, square(center_um(23), 20)), "10 µm²|beside"),
    "outline off the image": (lambda r: r.draw(square((-50, -50), 20)), "outside of the image"),
    "outline of nothing": (lambda r: r.draw(square(center_um(9), 20)), "less than 10 µm²"),
    "points at infinity": (lambda r: r.draw([(0, np.inf), (1, 1), (2, 0)]), "without a place"),
    "no points": (lambda r: r.draw("abc"), "no list of points"),
    "points in space": (lambda r: r.draw([(0, 0, 0), (0, 20, 20), (0, 20, 0)] * 2), "no list of"),
    "numbers in a row": (lambda r: r.draw([0, 0, 0, 20, 20, 20]), "no list of points"),
    "an empty outline": (lambda r: r.draw([]), "three or more"),
    "number as text": (lambda r: r.accept("12"), "'12' is no number of a fiber"),
    "numbers as texts": (lambda r: r.accept(["12"]), "'12' is no number of a fiber"),
    "a broken number": (lambda r: r.accept(1.7), "1.7 is no number of a fiber"),
    "a broken number of several": (lambda r: r.delete([1, 7.9]), "7.9 is no number of a fiber"),
    "not a number": (lambda r: r.accept([float("nan")]), "nan is no number of a fiber"),
    "a mask": (lambda r: r.accept(np.array([False, True])), "False.* is no number of a fiber"),
    "split of half a fiber": (lambda r: r.split(9.5, upright(9)), "9.5 is no number"),
    "redraw by text": (lambda r: r.redraw("9", square(center_um(9), 20)), "'9' is no number"),
    "a slip of the pen": (lambda r: r.draw(square((0, 0), 9000)), "at once"),
    "no reason": (lambda r: r.exclude([9], "  "), "say why"),
    "a long reason": (lambda r: r.exclude([9], "x" * 300), "200 characters"),
    "unknown type": (lambda r: r.set_type([9], "III"), "'III' is no fiber type. Choose one of I,"),
    "unknown condition": (lambda r: r.set_condition([9], "ill"), "is no condition"),
    "doubled condition": (lambda r: r.set_condition([9], "split;split"), "is no condition"),
    "not left out": (lambda r: r.include([9]), "not left out"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_says_what_to_do_and_changes_nothing(review, case):
    act, words = BAD[case]
    review.set_type([1], "II")
    review.undo()
    before = (review.folder / "review.jsonl").read_bytes()
    state = np.array(review.labels), review.table.copy()
    with pytest.raises(ReviewError, match=words):
        act(review)
    assert_same(review, *state)
    assert (review.folder / "review.jsonl").read_bytes() == before
    assert review.redo_text == "fiber 1 set to type II"


def test_whole_numbers_may_be_of_any_kind(review):
    assert review.accept(np.float64(7.0)).changed == (7,)
    assert review.accept(np.array([3, 4], np.uint16)).changed == (3, 4)
    assert review.accept(pd.Series([5.0, 6.0])).changed == (5, 6)
    assert review.split(9.0, upright(9)).text == "fiber 9 parted into fibers 9 and 31"


def test_the_same_decision_twice_is_no_change(review):
    review.accept([9])
    with pytest.raises(ReviewError, match="fiber 9 accepted already"):
        review.accept([9])
    # of several, those are meant that it is new for
    assert review.accept([9, 10]).changed == (10,)


def test_a_fiber_between_others_stands_in_the_way(results):
    # a wall across the gap between 1 and 2, so that nothing can be filled
    labels = draw_bricks()
    y, x = corner(2)
    labels[y - 6 : y + SIDE + 6, x - 3 : x - 1] = 99
    rewrite_all(results, labels)
    with Review.open(results) as review, pytest.raises(ReviewError, match="another fiber lies"):
        review.merge([1, 2])


def rewrite_all(results, labels) -> None:
    from biopsy_ai.formats.label_image import write_label_image
    from biopsy_ai.formats.tables import write_fibers_csv

    saved = read_analysis(results)
    write_label_image(results / "fibers.tif", labels, (MPP, MPP))
    ids = np.unique(labels[labels > 0])
    rows = saved.fibers.iloc[np.arange(len(ids)) % len(saved.fibers)].assign(label=ids)
    write_fibers_csv(results / "fibers.csv", rows)


def test_a_section_is_reviewed_by_one_person_at_a_time(results):
    with Review.open(results, user="Ada") as review:
        with pytest.raises(ReviewError, match="is being reviewed by Ada in this program"):
            Review.open(results, user="Ben")
        review.accept([1])
    with Review.open(results, user="Ben") as review:
        assert len(review.history()) == 1
    assert not (results / "review.lock").exists()


def test_a_closed_review_changes_nothing(results):
    review = Review.open(results)
    review.close()
    review.close()
    with pytest.raises(ReviewError, match="is closed"):
        review.accept([1])
    assert not has_review(results)


def test_without_permission_to_write_everything_can_be_seen(results, monkeypatch):
    import biopsy_ai.review.opening as opening

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(opening, "ReviewLock", refuse)
    with Review.open(results) as review:
        assert len(review.table) == 30
        with pytest.raises(ReviewError, match="cannot be written or locked"):
            review.accept([1])


def test_results_that_were_replaced_meanwhile_are_not_changed(review):
    from biopsy_ai.formats.label_image import write_label_image

    write_label_image(review.folder / "fibers.tif", draw_bricks() * 2, (MPP, MPP))
    with pytest.raises(ReviewError, match="replaced since they were opened"):
        review.accept([1])
    assert not has_review(review.folder)


def test_what_is_no_results_folder_is_left_alone(tmp_path):
    with pytest.raises(OutputError, match="is missing"):
        Review.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_of_a_review_are_reviewed_where_they_come_from(results):
    with Review.open(results) as review:
        review.accept([1])
    shutil.copytree(results, results / "reviewed", ignore=shutil.ignore_patterns("review.jsonl"))
    with pytest.raises(ReviewError, match="Open that folder"):
        Review.open(results / "reviewed")


def test_a_change_that_cannot_be_saved_is_not_made(review, monkeypatch):
    review.delete([1])
    state = np.array(review.labels), review.table.copy()
    content = (review.folder / "review.jsonl").read_bytes()

    class Full:
        """A file on a full disk, which takes half of what it is given."""

        def __init__(self, file):
            self.file = file

        def write(self, line):
            return self.file.write(line[: len(line) // 2])

        def __getattr__(self, name):
            return getattr(self.file, name)

    file = review._log._file
    monkeypatch.setattr(review._log, "_file", Full(file))
    with pytest.raises(ReviewError, match="cannot be saved and was not made"):
        review.merge([2, 3])
    assert_same(review, *state)
    assert (review.folder / "review.jsonl").read_bytes() == content
    monkeypatch.setattr(review._log, "_file", file)
    assert review.merge([2, 3]).changed == (2,)
    review.close()
    with Review.open(review.folder) as again:
        assert again.history()["operation"].tolist() == ["delete", "merge"]


def test_patterns_that_were_made_again_are_taken_up(review):
    review.split(9, upright(9))
    rescored = type(
        "Rescored", (), {"fibers": review.table.copy(), "summary": {"name": "made again"}}
    )()
    rescored.fibers["group"] = pd.array([7] * len(rescored.fibers), dtype="Int64")
    rescored.fibers["type"] = "I"
    review.delete([9])
    assert not review.summary_is_current
    review.take_over(rescored)
    assert (review.table["group"] == 7).all()
    assert (review.table["type"] == "").all()
    assert 9 not in review.ids
    assert review.summary == {"name": "made again"}
    assert review.summary_is_current
    # a decision later does not bring the old ones back
    review.accept([10])
    assert row_of(review, 10)["group"] == 7


def test_the_queue_begins_with_the_most_doubtful_fiber(results):
    saved = read_analysis(results)
    from biopsy_ai.formats.tables import write_fibers_csv

    fibers = saved.fibers.assign(confidence=0.99)
    fibers.loc[fibers["label"] == 7, "confidence"] = 0.70
    fibers.loc[fibers["label"] == 8, "confidence"] = 0.85
    write_fibers_csv(results / "fibers.csv", fibers)
    with Review.open(results) as review:
        queue = review.queue()
        assert queue["label"].tolist() == [7, 8]
        assert queue["doubt"].between(0, 1).all()
        assert "certainty 0.70" in queue["reason"][0]
        review.accept([7])
        assert review.queue()["label"].tolist() == [8]
        review.undo()
        review.delete([8])
        assert review.queue()["label"].tolist() == [7]
