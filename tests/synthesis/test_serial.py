from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.serial.fiber_map import FiberMap, read_fiber_map
from biopsy_ai.serial.registration import register_sections
from biopsy_ai.synthesis.parameters import SectionParams, TissueParams
from biopsy_ai.synthesis.serial import Cut, cut_block, draw_labels, synthesize_block

SMALL = SectionParams(TissueParams(diameter_um=(30.0, 32.0)), size_um=(200.0, 240.0), mpp=1.0)


def test_sections_show_the_same_fibers_turned() -> None:
    drawn = cut_block(SMALL, [Cut(), Cut(90.0), Cut(mirrored=True)], seed=1)
    maps = []
    for section in drawn:
        labels, numbers = draw_labels(section, SMALL.mpp)
        assert labels.shape == (200, 240)
        assert len(numbers) == labels.max()
        maps.append((read_fiber_map(labels, (1.0, 1.0), ""), numbers))
    (first, own), (turned, second), (flipped, third) = maps
    # turned by 90°, rows become columns around the middle of the field
    for number in np.intersect1d(own, second):
        y, x = first.centers_um[own == number][0] - (100, 120)
        if abs(y) < 60 and abs(x) < 60:
            found = turned.centers_um[second == number][0] - (100, 120)
            np.testing.assert_allclose(found, (-x, y), atol=2)
    inside = np.intersect1d(own, third)
    assert len(inside) == len(own)
    np.testing.assert_allclose(
        flipped.centers_um[np.argsort(third)] - (0, 240),
        first.centers_um[np.argsort(own)] * (1, -1),
        atol=2,
    )


def test_stretch_is_as_large_as_asked() -> None:
    plain, stretched = cut_block(SMALL, [Cut(), Cut(stretch=0.1, grain_um=150.0)], seed=2)
    one = {n: f.outline for n, f in zip(plain.numbers, plain.geometry.fibers, strict=True)}
    ratio = [
        np.hypot(*np.ptp(f.outline, axis=0)) / np.hypot(*np.ptp(one[n], axis=0))
        for n, f in zip(stretched.numbers, stretched.geometry.fibers, strict=True)
        if n in one
    ]
    assert 0.88 < min(ratio) < 0.99
    assert 1.01 < max(ratio) < 1.12


def test_fibers_vanish_and_appear() -> None:
    cuts = [Cut(vanished=0.2), Cut(appeared=0.2)]
    first, second = (set(s.numbers.tolist()) for s in cut_block(SMALL, cuts, seed=3))
    assert len(first - second) == 0
    assert len(second - first) > 5


def test_tears_gape() -> None:
    whole, torn = cut_block(SMALL, [Cut(), Cut(tears=1, tear_um=30.0)], seed=4)
    one, other = (draw_labels(s, 1.0)[0] for s in (whole, torn))
    assert (other > 0).mean() < (one > 0).mean()


def test_rendered_sections_know_their_fibers() -> None:
    first, second = synthesize_block(SMALL, ["he", "nadh"], [Cut(), Cut(10.0)], seed=5)
    assert first.section.params.stain == "he"
    assert second.section.params.stain == "nadh"
    for made in (first, second):
        assert len(made.numbers) == len(made.section.fibers)
        assert (made.numbers >= 0).all()
    types = [dict(zip(s.numbers, s.section.fibers["type"], strict=True)) for s in (first, second)]
    both = set(types[0]) & set(types[1])
    assert len(both) > 10
    assert all(types[0][n] == types[1][n] for n in both)


def test_the_same_seed_gives_the_same_block() -> None:
    one, other = (cut_block(SMALL, [Cut(5.0, stretch=0.05)], seed=6)[0] for _ in range(2))
    np.testing.assert_array_equal(draw_labels(one, 1.0)[0], draw_labels(other, 1.0)[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cut_block(SMALL, [Cut(vanished=2.0)]), "shares"),
        (lambda: synthesize_block(SMALL, ["he"], [Cut(), Cut()]), "give one for each"),
        (
            lambda: synthesize_block(SectionParams(TissueParams(fibrosis=0.3)), ["he"], [Cut()]),
            "no fibrosis",
        ),
    ],
)
def test_what_cannot_be_made(call, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call()


@pytest.mark.slow
def test_fibers_in_both_sections_are_matched_rightly() -> None:
    """Rotation, either side, 10 % local stretch, gaping tears, fibers that come and go."""
    params = SectionParams(size_um=(800.0, 800.0))
    how = {"stretch": 0.1, "tears": 2, "vanished": 0.03, "appeared": 0.03}
    cuts = [Cut(**how), Cut(15.0, **how), Cut(172.0, True, (60.0, -40.0), **how)]  # type: ignore[arg-type]
    sections: list[tuple[FiberMap, np.ndarray]] = []
    for drawn in cut_block(params, cuts, seed=7):
        labels, numbers = draw_labels(drawn, 0.5)
        sections.append((read_fiber_map(labels, (0.5, 0.5), "section"), numbers))
    fixed, own = sections[0]
    for moving, numbers in sections[1:]:
        pairs = register_sections(fixed, moving).matches.labels
        right = own[pairs[:, 0] - 1] == numbers[pairs[:, 1] - 1]
        whole = [fixed.ids[~fixed.is_cut] - 1, moving.ids[~moving.is_cut] - 1]
        both = np.intersect1d(own[whole[0]], numbers[whole[1]])
        assert right.mean() >= 0.98
        assert np.isin(both, own[pairs[right, 0] - 1]).mean() >= 0.95
