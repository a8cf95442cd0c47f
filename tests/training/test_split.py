from __future__ import annotations

from pathlib import Path

import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.training.collection import DatasetItem, ItemOptions
from biopsy_ai.training.loading import LoadedItem
from biopsy_ai.training.split import group_items, hold_out


def item(name: str, slide: str = "", patient: str = "", *, n_fibers: int = 50, image: str = ""):
    described = DatasetItem(
        name, Path(f"{name}.tif"), Path(), slide or name, ItemOptions(), patient=patient
    )
    origin = {"image_sha256": image or name}
    return LoadedItem(described, Path(), "thresholds", n_fibers, origin)


def test_pictures_of_a_slide_a_patient_or_an_image_belong_together() -> None:
    items = [
        item("a", "s1"),
        item("b", "s2", "P1"),
        item("c", "s1"),
        item("d", "s3", "P1"),
        item("e", "s4"),
        item("f", "s5", image="e"),
        item("g", "s3"),
    ]
    assert group_items(items) == [0, 1, 0, 1, 2, 2, 1]


def test_nothing_is_cut_between_learning_and_judging() -> None:
    items = [item(f"s{k}-{part}", f"s{k}") for k in range(8) for part in range(3)]
    for seed in range(5):
        training, held_out = hold_out(items, seed=seed)
        slides = [{items[k].item.slide for k in part} for part in (training, held_out)]
        assert not slides[0] & slides[1]
        assert len(slides[1]) == 2
        assert sorted(training + held_out) == list(range(24))
        assert hold_out(items, seed=seed) == (training, held_out)


def test_about_a_quarter_of_the_fibers_is_held_out() -> None:
    items = [item(str(k), n_fibers=n) for k, n in enumerate([300, 20, 90, 10])]
    _, held_out = hold_out(items)
    assert held_out == [2]


def test_two_slides_leave_the_larger_part_for_learning() -> None:
    assert hold_out([item("a", n_fibers=200), item("b", n_fibers=40)]) == ([0], [1])
    assert hold_out([item("a", n_fibers=200), item("b", n_fibers=5)])[1] in ([0], [1])


def test_one_slide_leaves_nothing_to_judge_on() -> None:
    assert hold_out([item("a", "s"), item("b", "s")]) == ([0, 1], [])


def test_what_the_model_has_seen_is_not_held_out() -> None:
    items = [item(name, image=f"hash of {name}") for name in "abcd"]
    for seed in range(6):
        assert hold_out(items, seen={"a", "b", "hash of c"}, seed=seed)[1] == [3]
    assert hold_out(items, seen={"a", "b", "c", "d"}) == ([0, 1, 2, 3], [])


def test_what_the_model_has_seen_cannot_be_named() -> None:
    items = [item("a", "s1"), item("b", "s2", "P"), item("c", "s3", "P"), item("d")]
    with pytest.raises(ConfigError, match="has learned from b, c, or"):
        hold_out(items, named=["b"], seen={"s3"})
    assert hold_out(items, named=["d"], seen={"s3"}) == ([0, 1, 2], [3])


def test_slides_to_judge_on_may_be_named() -> None:
    items = [item("a", "s1"), item("b", "s1"), item("c", "s2", "P"), item("d")]
    assert hold_out(items, named=["b"]) == ([2, 3], [0, 1])
    assert hold_out(items, named=["P", "d.tif"]) == ([0, 1], [2, 3])
    with pytest.raises(ConfigError, match="--held-out x: there is no such.*a, b, c"):
        hold_out(items, named=["x"])
    with pytest.raises(ConfigError, match="nothing is left to learn from"):
        hold_out(items, named=["a", "c", "d"])
