from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from drawn_blocks import DrawnTissue, draw_serial_section, draw_tissue

from biopsy_ai.errors import RegistrationError
from biopsy_ai.measure.reference import Limits
from biopsy_ai.serial.fiber_map import FiberMap, map_of, read_fiber_map
from biopsy_ai.serial.registration import Registration, register_sections


@cache
def tissue(seed: int = 0, size_um: float = 700.0) -> DrawnTissue:
    return draw_tissue(size_um, seed=seed)


@cache
def fixed_map() -> FiberMap:
    return map_of(draw_serial_section(tissue(), missing=0.03, seed=1), 1.0, "first")


def moving_map(**how: object) -> FiberMap:
    given = {"missing": 0.03, "seed": 2, "stretch_um": 6.0, **how}
    return map_of(draw_serial_section(tissue(), **given), 1.0, "second")  # type: ignore[arg-type]


def shares(found: Registration, fixed: FiberMap, moving: FiberMap) -> tuple[float, float]:
    """Precision, and recall among the fibers that lie whole in both fields."""
    pairs = found.matches.labels
    right = pairs[:, 0] == pairs[:, 1]
    both = np.intersect1d(whole(fixed), whole(moving))
    return float(right.mean()), float(np.isin(both, pairs[right, 0]).mean())


def whole(section: FiberMap) -> np.ndarray:
    edge = (section.labels[0], section.labels[-1], section.labels[:, 0], section.labels[:, -1])
    return np.setdiff1d(section.ids, np.concatenate(edge))


@pytest.mark.parametrize(
    ("angle_deg", "mirrored"),
    [(0, False), (15, False), (-15, True), (90, False), (180, False), (170, True), (237, True)],
)
def test_any_rotation_and_side(angle_deg: float, mirrored: bool) -> None:
    moving = moving_map(angle_deg=angle_deg, mirrored=mirrored, shift_um=(40.0, -30.0))
    found = register_sections(fixed_map(), moving)
    precision, recall = shares(found, fixed_map(), moving)
    assert precision >= 0.99
    assert recall >= 0.95
    assert found.mirrored == mirrored
    assert abs((found.angle_deg - angle_deg + 180) % 360 - 180) < 3
    assert found.found_by == "fibers"


def test_quality_is_measured() -> None:
    moving = moving_map(angle_deg=10)
    found = register_sections(fixed_map(), moving)
    quality = found.describe()
    assert quality["n_matched"] == len(found.matches)
    # 3 % of the fibers are missing from each section
    assert 0.88 < quality["matched_share"] < 0.98
    assert quality["median_iou"] > 0.8
    assert quality["residual_um"] < 3
    assert 0.7 < quality["common_share"] <= 1
    assert quality["stretch_low"] < 1 < quality["stretch_high"]
    assert all(isinstance(value, int | float | str) for value in quality.values())


def test_matching_is_one_to_one() -> None:
    pairs = register_sections(fixed_map(), moving_map(angle_deg=15)).matches.labels
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)


def test_pixel_sizes_may_differ() -> None:
    fine = draw_serial_section(tissue(), angle_deg=12, mpp=0.5, seed=3)
    moving = read_fiber_map(fine, (0.5, 0.5), "fine")
    assert moving.mpp == pytest.approx(1.0)
    found = register_sections(fixed_map(), moving)
    assert shares(found, fixed_map(), moving)[0] >= 0.99


def test_pixels_need_not_be_square() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:30] = 7
    section = read_fiber_map(labels, (2.0, 1.0), "oblong")
    assert section.labels.shape == (80, 40)
    assert section.area_um2 == pytest.approx([400.0])
    np.testing.assert_allclose(section.centers_um, [[30.0, 20.0]])


def test_a_split_fiber_matches_its_larger_part() -> None:
    labels = draw_serial_section(tissue(), angle_deg=15, seed=2)
    label = 0
    for label in whole(map_of(labels, 1.0, "")):
        at = np.argwhere(labels == label)
        if len(at) > 900:
            break
    cut = np.quantile(at[:, 0], 0.65)
    labels[tuple(at[at[:, 0] > cut].T)] = labels.max() + 1
    found = register_sections(fixed_map(), map_of(labels, 1.0, "split")).matches.labels
    if label in fixed_map().ids:
        assert found[found[:, 0] == label, 1].tolist() == [label]
    assert labels.max() not in found[:, 1]


def test_tears_and_vanished_fibers() -> None:
    labels = draw_serial_section(tissue(), angle_deg=-8, missing=0.08, seed=5)
    labels[330:360, 60:520] = 0
    moving = map_of(labels, 1.0, "torn")
    found = register_sections(fixed_map(), moving)
    pairs = found.matches.labels
    assert (pairs[:, 0] == pairs[:, 1]).mean() >= 0.99
    assert len(pairs) >= 0.8 * min(found.matches.n_common)


@pytest.mark.parametrize("seed", [11, 12])
def test_another_block_does_not_fit(seed: int) -> None:
    other = map_of(draw_serial_section(tissue(seed), seed=seed), 1.0, "other")
    with pytest.raises(RegistrationError, match="first and other do not fit on each other"):
        register_sections(fixed_map(), other)


def test_another_place_of_the_same_block_does_not_fit() -> None:
    wide = draw_serial_section(tissue(3, 1000.0), seed=1)
    left, right = map_of(wide[:, :480], 1.0, "left"), map_of(wide[:, 520:], 1.0, "right")
    with pytest.raises(RegistrationError, match="left and right"):
        register_sections(left, right)


def honeycomb(jitter: float, seed: int, side: int = 16, pitch: float = 45.0) -> FiberMap:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : side + 6, 0 : side + 6]
    points = np.stack([y * pitch * 3**0.5 / 2, (x + 0.5 * (y % 2)) * pitch], -1).reshape(-1, 2)
    points += rng.normal(0, jitter * pitch, points.shape)
    size = side * pitch * 0.85
    comb = DrawnTissue(points - pitch * 2, np.ones(len(points)), size)
    return map_of(draw_serial_section(comb), 1.0, f"comb {seed}")


@pytest.mark.parametrize("jitter", [0.05, 0.1, 0.15, 0.22])
def test_honeycombs_are_not_taken_for_each_other(jitter: float) -> None:
    with pytest.raises(RegistrationError):
        register_sections(honeycomb(jitter, 1), honeycomb(jitter, 2))


def test_too_few_fibers() -> None:
    few = draw_serial_section(tissue(), seed=1)
    few[:, 20:] = 0
    with pytest.raises(RegistrationError, match=r"has \d+ fibers, and sections can be"):
        register_sections(fixed_map(), map_of(few, 1.0, "few"))


def test_limits_decide() -> None:
    strict = Limits({"serial_matched_share": 0.99})
    with pytest.raises(RegistrationError, match=r"\d+% of the fibers that both should show match"):
        register_sections(fixed_map(), moving_map(), limits=strict)


def test_the_same_seed_gives_the_same_result() -> None:
    moving = moving_map(angle_deg=100)
    one, other = (register_sections(fixed_map(), moving, seed=4).matches for _ in range(2))
    np.testing.assert_array_equal(one.labels, other.labels)
