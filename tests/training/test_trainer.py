import csv
import re

import numpy as np
import pytest
import torch

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis import SectionParams, TissueParams, synthesize_section
from biopsy_ai.training.bank import write_bank_section
from biopsy_ai.training.dataset import SectionCrops, bank_section, random_window
from biopsy_ai.training.fingerprint import run_fingerprint
from biopsy_ai.training.losses import map_loss, nucleus_loss, tissue_loss
from biopsy_ai.training.real import TrainingImage
from biopsy_ai.training.settings import TrainConfig
from biopsy_ai.training.targets import (
    NOT_CLASS,
    UNKNOWN_CLASS,
    Truth,
    make_nucleus_targets,
    make_targets,
)
from biopsy_ai.training.trainer import learning_rate, train_network

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8]}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    params = SectionParams(TissueParams(diameter_um=(25.0, 25.0)), size_um=(128.0, 128.0))
    for seed in range(2):
        section = synthesize_section(params, seed)
        write_bank_section(folder / f"{seed:08d}.npz", section)
    return sorted(folder.glob("*.npz"))


def settings(**changes) -> TrainConfig:
    values = {"steps": 4, "batch": 2, "crop_px": 64, "workers": 0, "checkpoint_every": 2}
    return TrainConfig(**(values | changes))


def train(crops, folder, config, *, start=None, weights=None, architecture=TINY, **options):
    fingerprint = run_fingerprint(
        config, architecture=architecture, bank={}, sections=2, start=start
    )
    return train_network(
        crops,
        folder,
        config,
        fingerprint=fingerprint,
        architecture=architecture,
        start=weights,
        **options,
    )


def test_perfect_maps_cost_less_than_wrong_ones():
    labels = np.zeros((64, 64), dtype=np.int32)
    labels[8:40, 8:40] = 1
    targets = torch.from_numpy(make_targets(labels, 0.5).transpose(2, 0, 1))[None]
    right = (targets[:, :3].float() / 255 - 0.5) * 12
    assert map_loss(right, targets) < 0.5 * map_loss(torch.zeros_like(right), targets)
    assert map_loss(-right, targets) > map_loss(torch.zeros_like(right), targets)


def test_pixels_of_no_weight_do_not_count():
    labels = np.zeros((64, 64), dtype=np.int32)
    targets = torch.from_numpy(make_targets(labels, 0.5).transpose(2, 0, 1))[None].clone()
    targets[:, 3, :32] = 0
    logits = torch.full((1, 3, 64, 64), -8.0)
    before = map_loss(logits, targets)
    logits[:, :, :32] = 8.0
    assert map_loss(logits, targets) == pytest.approx(float(before), abs=1e-6)


def test_learning_rate_rises_then_falls():
    config = settings(steps=100, warmup=10)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[9] == max(rates) == config.learning_rate
    assert rates[0] < rates[5]
    assert rates[99] < 0.02 * config.learning_rate


def nucleus_batch(weight=20):
    labels = np.zeros((32, 32), dtype=np.int32)
    labels[8:20, 8:20] = 1
    distance = make_nucleus_targets(labels, 0.5)[..., 0]
    planes = [255 * (distance > 0), distance, np.full_like(distance, weight)]
    return torch.from_numpy(np.stack(planes).astype(np.uint8))[None]


def test_nuclei_count_where_they_are_known():
    targets = nucleus_batch()
    right = (targets[:, :2].float() / 255 - 0.5) * 12
    assert nucleus_loss(right, targets) < 0.5 * nucleus_loss(-right, targets)
    unknown = nucleus_batch(weight=0)
    assert nucleus_loss(right, unknown) == pytest.approx(float(nucleus_loss(-right, unknown)))


def test_tissue_classes_count_where_they_are_known():
    truth = torch.full((1, 8, 8), UNKNOWN_CLASS, dtype=torch.uint8)
    logits = torch.zeros(1, 7, 8, 8)
    assert tissue_loss(logits, truth) == 0
    truth[:, :4] = 4
    fat = logits.clone()
    fat[:, 4] = 8.0
    assert tissue_loss(fat, truth) < 0.2 * tissue_loss(logits, truth)
    before = tissue_loss(fat, truth)
    fat[:, :, 4:] = -3.0
    assert tissue_loss(fat, truth) == pytest.approx(float(before), abs=1e-6)


def test_what_a_pixel_is_not_counts_too():
    truth = torch.full((1, 8, 8), NOT_CLASS + 4, dtype=torch.uint8)
    logits = torch.zeros(1, 7, 8, 8)
    fat, other, another = (logits.clone() for _ in range(3))
    fat[:, 4], other[:, 3], another[:, 2] = 8.0, 8.0, 8.0
    assert tissue_loss(fat, truth) > 10 * tissue_loss(other, truth)
    assert tissue_loss(other, truth) == pytest.approx(float(tissue_loss(another, truth)))


def test_windows_turn_picture_and_truth_alike():
    rng = np.random.default_rng(0)
    labels = np.zeros((200, 200), dtype=np.int32)
    labels[60:150, 40:120] = 1
    truth = Truth(
        make_targets(labels, 0.5), make_nucleus_targets(labels, 0.5), labels.astype(np.uint8)
    )
    image = np.repeat((labels > 0).astype(np.float32)[..., None], 3, axis=2)
    for _ in range(5):
        picture, seen = random_window(image, truth, 128, float(rng.uniform(0.7, 1.3)), rng)
        known = seen.fibers[..., 3] > 0
        inside = picture[..., 0] > 0.5
        assert np.abs(picture[..., 0] - seen.fibers[..., 0] / 255)[known].mean() < 0.03
        assert ((seen.nuclei[..., 0] > 0) != inside)[known].mean() < 0.03
        assert ((seen.nuclei[..., 1] > 0) != known).mean() < 0.03
        assert seen.tissue.shape == (64, 64)
        assert set(np.unique(seen.tissue)) <= {0, 1, UNKNOWN_CLASS}
        half, here = inside[::2, ::2], seen.tissue != UNKNOWN_CLASS
        assert ((seen.tissue == 1) != half)[here].mean() < 0.05
        assert (here != known[::2, ::2]).mean() < 0.05


def test_every_kind_of_real_image_has_its_share(bank):
    image, truth = bank_section(bank[0])
    nothing = np.zeros((64, 64), dtype=np.int32)
    empty = Truth(
        make_targets(nothing, 0.5),
        make_nucleus_targets(nothing, 0.5),
        np.full((64, 64), 4, np.uint8),
    )
    unknown = Truth(empty.fibers * np.uint8([1, 1, 1, 0]), empty.nuclei, empty.tissue)
    white = np.ones((64, 64, 3), np.float32)
    real = [
        TrainingImage(name, white, part, nothing, None, "MIT", {})
        for name, part in (("fat", empty), ("nuclei", unknown))
    ]
    crops = SectionCrops(bank, real, crop_px=64, empty_share=0.3, nuclei_share=0.3)
    assert [[r.name for r in pool] for pool, _ in crops.pools] == [["fat"], ["nuclei"]]
    stream = iter(crops)
    samples = [next(stream) for _ in range(24)]
    assert samples[0].nuclei.shape == (3, 64, 64)
    assert samples[0].tissue.shape == (32, 32)
    assert any(not s.fibers[3].any() and s.nuclei[2].any() for s in samples)
    assert any((s.tissue == 4).any() and s.fibers[3].any() for s in samples)


def test_heads_are_trained_from_weights_that_lack_them(bank, tmp_path):
    first = train(SectionCrops(bank, crop_px=64), tmp_path / "first", settings(steps=1))
    with_heads = TINY | {"nuclei": True, "tissue": True}
    second = train(
        SectionCrops(bank, crop_px=64),
        tmp_path / "second",
        settings(steps=2),
        architecture=with_heads,
        weights=first.state_dict(),
    )
    logits = second(torch.zeros(1, 3, 64, 64))
    assert all(part is not None and torch.isfinite(part).all() for part in logits)


@pytest.mark.parametrize(("only", "head"), [("tissue", "tissue_head"), ("nuclei", "nucleus_head")])
def test_one_part_learns_and_all_else_stays(bank, tmp_path, only, head):
    with_heads = TINY | {"nuclei": True, "tissue": True}
    crops = SectionCrops(bank, crop_px=64)
    first = train(crops, tmp_path / "first", settings(steps=2), architecture=with_heads)
    before = {name: value.clone() for name, value in first.state_dict().items()}
    second = train(
        crops,
        tmp_path / "second",
        settings(steps=3, only=only),
        architecture=with_heads,
        weights=before,
    )
    changed = {n for n, value in second.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert {name.split(".")[0] for name in changed} == {head}
    assert not any("running" in name for name in changed)


def test_training_goes_on_from_its_checkpoint(bank, tmp_path):
    crops = SectionCrops(bank, crop_px=64)
    train(crops, tmp_path, settings(steps=2))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    seen = []
    network = train(crops, tmp_path, settings(), progress=lambda *s: seen.append(s))
    assert seen == [("train", 3, 4), ("train", 4, 4)]
    assert not network.training
    assert torch.isfinite(network(torch.zeros(1, 3, 64, 64)).fibers).all()


@pytest.mark.parametrize(
    ("changes", "start", "words"),
    [
        ({"learning_rate": 1e-4}, None, "learning_rate: 0.002 there, 0.0001 now"),
        ({"steps": 2}, "ab" * 32, "start weights: nothing there, abababababab… now"),
        ({"steps": 1}, None, "trained for 2 steps already"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(bank, tmp_path, changes, start, words):
    crops = SectionCrops(bank, crop_px=64)
    train(crops, tmp_path, settings(steps=2))
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        train(crops, tmp_path, settings(**changes), start=start)
    assert "--work" in str(caught.value)
    assert str(tmp_path / "checkpoint.pt") in str(caught.value)


def test_a_checkpoint_that_does_not_say_where_it_comes_from_is_refused(bank, tmp_path):
    crops = SectionCrops(bank, crop_px=64)
    train(crops, tmp_path, settings(steps=2))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["fingerprint"]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigError, match="does not say.*--work"):
        train(crops, tmp_path, settings())


def test_the_computer_may_change_between_runs(bank, tmp_path):
    crops = SectionCrops(bank, crop_px=64)
    train(crops, tmp_path, settings(steps=2))
    train(crops, tmp_path, settings(steps=3, checkpoint_every=1))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3


def test_training_lowers_the_loss_and_logs_it(bank, tmp_path):
    crops = SectionCrops(bank, crop_px=64, seed=1)
    config = settings(steps=100, warmup=5, learning_rate=5e-3, batch=4)
    train(crops, tmp_path, config)
    with (tmp_path / "training.csv").open(encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 4
    assert losses[-1] < 0.9 * losses[0]
    assert any((tmp_path / "tensorboard").iterdir())
