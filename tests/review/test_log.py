"""The log of a review: what it keeps when a program or a computer dies, and what it refuses."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from biopsy_ai.checksum import file_sha256
from biopsy_ai.errors import ReviewError
from biopsy_ai.review import Review, has_review
from biopsy_ai.review.entry import Entry, read_entry
from biopsy_ai.review.log import ReviewLog


def entry(seq: int, **more) -> Entry:
    return Entry(seq, "2026-11-20T10:00:00+00:00", "Ada", "accept", (seq,), f"fiber {seq}", **more)


@pytest.fixture
def written(tmp_path) -> bytes:
    """A log of three entries, closed."""
    log = ReviewLog(tmp_path, "a" * 64)
    for seq in (1, 2, 3):
        log.append(entry(seq))
    log.close()
    return (tmp_path / "review.jsonl").read_bytes()


def test_what_is_written_is_read(tmp_path, written):
    log = ReviewLog(tmp_path, "a" * 64)
    assert log.entries == [entry(1), entry(2), entry(3)]
    assert log.next_seq == 4
    assert log.sha256 == file_sha256(tmp_path / "review.jsonl")
    log.append(entry(4))
    assert log.sha256 == file_sha256(tmp_path / "review.jsonl")
    log.close()
    with pytest.raises(ReviewError, match="no longer be written"):
        log.append(entry(5))


def test_nothing_is_written_before_the_first_entry(tmp_path):
    log = ReviewLog(tmp_path, "a" * 64)
    log.close()
    assert not list(tmp_path.iterdir())
    assert not has_review(tmp_path)
    assert not has_review(tmp_path / "nowhere")


def test_a_log_that_ends_anywhere_is_read_up_to_there_and_goes_on(tmp_path, written):
    path = tmp_path / "review.jsonl"
    ends = [i + 1 for i, byte in enumerate(written) if byte == ord("\n")]
    for length in range(len(written) + 1):
        path.write_bytes(written[:length])
        log = ReviewLog(tmp_path, "a" * 64)
        n = max(sum(length >= end for end in ends) - 1, 0)
        assert log.entries == [entry(1), entry(2), entry(3)][:n]
        assert has_review(tmp_path) == (n > 0)
        # opening alone mends nothing, the next entry does
        assert path.read_bytes() == written[:length]
        log.append(entry(n + 1))
        log.close()
        assert path.read_bytes() == written[: ends[n + 1]] if n < 3 else True
        assert len(ReviewLog(tmp_path, "a" * 64).entries) == n + 1


def test_other_bytes_at_the_end_are_cut_off(tmp_path, written):
    path = tmp_path / "review.jsonl"
    path.write_bytes(written + b"\0" * 900)
    log = ReviewLog(tmp_path, "a" * 64)
    assert len(log.entries) == 3
    log.append(entry(4))
    log.close()
    assert len(ReviewLog(tmp_path, "a" * 64).entries) == 4
    path.write_bytes(b"\0" * 300)
    assert ReviewLog(tmp_path, "a" * 64).entries == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.replace(b'"seq": 2', b'"seq": 5'), "line 3 is damaged .*number 5"),
        (lambda c: c.replace(b'"seq": 2, ', b""), "line 3 is damaged"),
        (lambda c: c.replace(b'"operation": "accept"', b'"operation": "eval"'), "'eval'"),
        (lambda c: c.replace(b'"seq": 1', b'"seq"; 1'), "line 2 is damaged"),
        (lambda c: c.replace(b'"seq": 3', b'"seq": 4'), "line 4 is damaged"),
        (lambda c: c.replace(b'"version": 1', b'"version": 2'), "Update biopsy-ai"),
        (lambda c: b"a,b\n1,2\n", "is no review log"),
        (lambda c: b"something else", "is no review log"),
        (lambda c: b"[" * 100_000 + b"\n", "is no review log"),
        (lambda c: c.replace(b"a" * 64, b"b" * 64), "belongs to other outlines"),
    ],
)
def test_what_is_not_the_log_of_these_outlines_is_refused_and_left_alone(
    tmp_path, written, change, words
):
    path = tmp_path / "review.jsonl"
    path.write_bytes(changed := change(written))
    with pytest.raises(ReviewError, match=words):
        ReviewLog(tmp_path, "a" * 64)
    assert path.read_bytes() == changed
    assert [file.name for file in tmp_path.iterdir()] == ["review.jsonl"]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "12"},
        {"labels": [1.5]},
        {"labels": [True]},
        {"labels": [-1]},
        {"labels": [2**31]},
        {"user": None},
        {"patches": {}},
        {"patches": [{"box": [0, 0, 1, 1]}]},
        {"fields": {"x": {}}},
        {"fields": {"1": {"area_um2": [1, 2]}}},
        {"fields": {"1": {"type": ["I", "<b>"]}}},
        {"fields": {"1": {"type": ["I", 3]}}},
        {"fields": {"1": {"condition": ["", "ill"]}}},
        {"fields": {"1": {"exclusion": ["", "x" * 999]}}},
        {"fields": {"1": {"accepted": [False, "yes"]}}},
        {"parents": {"9": -1}},
        {"operation": "undo"},
        {"operation": "redo", "undoes": 4},
    ],
)
def test_an_entry_of_other_content_is_refused(change):
    good = json.loads(entry(1).to_line())
    assert read_entry(good) == entry(1)
    with pytest.raises(ValueError, match="."):
        read_entry(good | change)
    with pytest.raises(ValueError, match="mapping"):
        read_entry([good])


def test_what_takes_back_something_else_is_refused(results):
    with Review.open(results) as review:
        review.accept([1])
        review.accept([2])
        review.undo()
    path = results / "review.jsonl"
    content = path.read_bytes()
    path.write_bytes(changed := content.replace(b'"undoes": 2', b'"undoes": 1'))
    with pytest.raises(ReviewError, match="change 1 is not the one that can be taken back"):
        Review.open(results)
    assert path.read_bytes() == changed
    # the section is not left locked
    path.write_bytes(content)
    Review.open(results).close()


def test_a_log_whose_patches_do_not_fit_is_refused(results):
    with Review.open(results) as review:
        review.delete([1])
        review.split(2, [(0, 50), (100, 50)])
    lines = (results / "review.jsonl").read_bytes().splitlines(keepends=True)
    second = json.loads(lines[2])
    second["seq"] = 1
    (results / "review.jsonl").write_bytes(lines[0] + json.dumps(second).encode() + b"\n")
    Review.open(results).close()
    second["patches"][0]["box"] = [n + 3 for n in second["patches"][0]["box"]]
    (results / "review.jsonl").write_bytes(lines[0] + json.dumps(second).encode() + b"\n")
    with pytest.raises(ReviewError, match="does not fit the outlines"):
        Review.open(results)


def test_a_log_of_other_outlines_is_refused_in_words(results):
    from biopsy_ai.formats.label_image import read_label_image, write_label_image

    with Review.open(results) as review:
        review.accept([1])
    content = (results / "review.jsonl").read_bytes()
    labels, mpp = read_label_image(results / "fibers.tif")
    labels[20, 20] = 0
    write_label_image(results / "fibers.tif", labels, mpp)
    with pytest.raises(ReviewError, match="analyzed again after it was reviewed"):
        Review.open(results)
    assert (results / "review.jsonl").read_bytes() == content
    assert not (results / "review.lock").exists()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs files without permission")
def test_a_log_that_cannot_be_read_counts_as_a_review(tmp_path, written):
    (tmp_path / "review.jsonl").chmod(0)
    assert has_review(tmp_path)


def test_a_log_in_the_place_of_a_folder_counts_as_a_review(tmp_path):
    (tmp_path / "review.jsonl").mkdir()
    assert has_review(tmp_path)
    with pytest.raises(ReviewError, match="cannot be read"):
        ReviewLog(tmp_path, "a" * 64)


def test_patches_and_decisions_come_back_as_they_went(results):
    with Review.open(results, user="Zoë 🔬") as review:
        review.split(9, [(0, 82), (200, 82)])
        review.exclude([9], 'ölig \\ "x"')
        entries = list(review._log.entries)
        labels = np.array(review.labels)
    with Review.open(results) as review:
        assert review._log.entries == entries
        assert np.array_equal(review.labels, labels)
        assert review.history()["user"].tolist() == ["Zoë 🔬"] * 2
