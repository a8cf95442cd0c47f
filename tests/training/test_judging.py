from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_datasets import drawn_section

from biopsy_ai.segmentation import Model, load_model
from biopsy_ai.segmentation.device import choose_device
from biopsy_ai.segmentation.maps import MapNetwork
from biopsy_ai.training.held_out import JudgedSlide, as_model, count_slides, watched_parts
from biopsy_ai.training.judging import (
    Comparison,
    Counts,
    SlideScore,
    compare,
    count_fibers,
    judge,
    outlined,
)


def slides(*pairs: tuple[tuple[int, int, int], tuple[int, int, int]], groups: str = ""):
    names = groups or "abcdefgh"
    return [
        SlideScore(f"s{k}", names[k], Counts(*old), Counts(*new))
        for k, (old, new) in enumerate(pairs)
    ]


def comparison(*f1s: tuple[float, float]) -> Comparison:
    """Slides of 1000 fibers where either model misses what makes its F1."""

    def counts(f1: float) -> tuple[int, int, int]:
        found = round(1000 * f1 / (2 - f1))
        return found, 0, 1000 - found

    return compare(slides(*((counts(old), counts(new)) for old, new in f1s)))


def test_f1_is_that_of_all_fibers_together() -> None:
    found = compare(slides(((80, 20, 20), (90, 10, 10)), ((5, 5, 5), (5, 5, 5))))
    assert found.old.value == pytest.approx(170 / 220)
    assert found.new.value == pytest.approx(190 / 220)
    assert found.gain.value == pytest.approx(20 / 220)
    assert found.n_fibers == 110
    assert Counts(0, 0, 0).f1 != Counts(0, 0, 0).f1


def test_the_interval_is_of_slides_not_of_fibers() -> None:
    same = compare(slides(*[((80, 20, 20), (90, 10, 10))] * 6))
    assert same.gain.low == pytest.approx(same.gain.high) == pytest.approx(0.1)
    mixed = comparison((0.8, 0.95), (0.8, 0.8), (0.8, 0.9), (0.8, 0.7))
    assert mixed.gain.low < 0 < mixed.gain.high
    assert mixed.gain.low < mixed.gain.value < mixed.gain.high


def test_pictures_of_one_patient_are_drawn_together() -> None:
    pairs = [((80, 20, 20), (90, 10, 10)), ((80, 20, 20), (70, 30, 30))]
    apart = compare(slides(*pairs, *pairs))
    together = compare(slides(*pairs, *pairs, groups="aabb"))
    assert apart.n_groups == 4
    assert together.n_groups == 2
    assert together.gain.low == pytest.approx(together.gain.high)
    assert apart.gain.low < apart.gain.high


def test_one_slide_gives_no_interval() -> None:
    found = comparison((0.8, 0.9))
    assert np.isnan(found.gain.low)
    assert str(found.new) == "0.900"
    assert found.as_dict()["gain"] == {"f1": 0.0997, "low": None, "high": None}
    assert found.as_dict()["slides"][0]["slide"] == "s0"


SAME = comparison((0.98, 0.98), (0.97, 0.972))


@pytest.mark.parametrize(
    ("held_out", "samples", "words"),
    [
        (None, SAME, "no slide to judge the model on"),
        (comparison((0.9, 0.85), (0.9, 0.89)), SAME, "is worse there"),
        (comparison((0.9, 0.87), (0.8, 0.95), (0.9, 0.85)), SAME, "may be worse"),
        (comparison((0.1, 0.4), (0.1, 0.3)), SAME, "does not draw what was labelled"),
        (comparison((0.8, 0.9)), comparison((0.98, 0.9), (0.98, 0.99)), "has forgotten"),
        (comparison((0.8, 0.9)), None, "no synthetic samples"),
        (compare(slides(((9, 0, 3), (12, 0, 0)))), SAME, "12 fibers are too few"),
    ],
)
def test_a_model_that_does_not_earn_its_place_is_told_why(held_out, samples, words) -> None:
    verdict = judge(held_out, samples)
    assert not verdict.ready
    assert words in verdict.reasons[0]
    assert "synthetic sample" in verdict.text
    assert not any(reason.startswith("On ") for reason in verdict.reasons[:1])


@pytest.mark.parametrize(
    "held_out",
    [comparison((0.8, 0.9), (0.7, 0.9)), comparison((0.9, 0.9)), comparison((0.9, 0.897))],
)
def test_a_model_that_is_not_worse_is_ready(held_out) -> None:
    verdict = judge(held_out, SAME)
    assert verdict.ready
    assert "held-out slide" in verdict.text
    assert ("alone" in verdict.text) == (held_out.n_groups == 1)


def test_what_is_unknown_counts_neither_way() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[5:25, 5:25], labels[5:25, 35:55], labels[35:55, 5:25] = 1, 2, 3
    drawn = np.where(labels == 3, 0, labels)
    drawn[35:55, 35:55] = 9
    assert count_fibers(drawn, labels) == Counts(found=2, extra=1, missed=1)
    known = np.ones(labels.shape, bool)
    known[30:] = False
    assert count_fibers(drawn, labels, known) == Counts(found=2, extra=0, missed=0)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("muscle")


@pytest.fixture(scope="module")
def judged() -> JudgedSlide:
    section = drawn_section(1, 333.0)
    picture = (section.image / np.percentile(section.image, 99.5)).astype(np.float16)
    return JudgedSlide("a", "a", "thresholds", picture, section.labels, None)


def test_a_slide_is_outlined_by_tiles_as_in_one_piece(model, judged, monkeypatch) -> None:
    network = MapNetwork(model, choose_device("cpu"))
    whole = outlined(network, judged.picture, model.thresholds)
    assert whole.shape == judged.labels.shape
    assert count_fibers(whole, judged.labels).f1 > 0.9
    from biopsy_ai.config import SegmentationConfig

    monkeypatch.setattr(
        "biopsy_ai.training.judging.SegmentationConfig",
        lambda: SegmentationConfig(tile_px=512, overlap_px=128),
    )
    assert count_fibers(outlined(network, judged.picture, model.thresholds), whole).f1 > 0.98


def test_a_network_is_judged_as_it_would_be_saved(model, judged) -> None:
    network = model.unfolded()
    (there,) = count_slides(model, [judged], choose_device("cpu"))
    (again,) = count_slides(as_model(network, model), [judged], choose_device("cpu"))
    assert there == again
    with torch.no_grad():
        network.head.bias.sub_(9)
    (none,) = count_slides(as_model(network, model), [judged], choose_device("cpu"))
    assert none.found == 0


def test_a_part_in_the_middle_of_the_labels_is_watched(judged, monkeypatch) -> None:
    monkeypatch.setattr("biopsy_ai.training.held_out.WATCHED_PX", 2 * 128**2)
    labels = np.zeros_like(judged.labels)
    labels[400:500, 300:400] = 1
    slide = JudgedSlide("a", "a", "thresholds", judged.picture, labels, labels > 0)
    parts = watched_parts([slide, judged])
    assert [part.labels.shape for part in parts] == [(128, 128)] * 2
    assert parts[0].labels.mean() > 0.5
    assert parts[0].known is not None
    np.testing.assert_array_equal(parts[0].known, parts[0].labels > 0)
    assert watched_parts([]) == []
