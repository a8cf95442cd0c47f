import csv
import re

import numpy as np
import pytest
import torch

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis import SectionParams, TissueParams, synthesize_section
from biopsy_ai.training.dataset import SectionCrops, random_window
from biopsy_ai.training.fingerprint import run_fingerprint
from biopsy_ai.training.losses import map_loss
from biopsy_ai.training.settings import TrainConfig
from biopsy_ai.training.targets import make_targets
from biopsy_ai.training.trainer import learning_rate, train_network

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8]}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    params = SectionParams(TissueParams(diameter_um=(25.0, 25.0)), size_um=(128.0, 128.0))
    for seed in range(2):
        section = synthesize_section(params, seed)
        targets = make_targets(section.labels, section.mpp)
        np.savez(folder / f"{seed:08d}.npz", image=section.image, targets=targets)
    return sorted(folder.glob("*.npz"))


def settings(**changes) -> TrainConfig:
    values = {"steps": 4, "batch": 2, "crop_px": 64, "workers": 0, "checkpoint_every": 2}
    return TrainConfig(**(values | changes))


def train(crops, folder, config, *, start=None, **options):
    fingerprint = run_fingerprint(config, architecture=TINY, bank={}, sections=2, start=start)
    return train_network(
        crops, folder, config, fingerprint=fingerprint, architecture=TINY, **options
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


def test_windows_turn_picture_and_truth_alike():
    rng = np.random.default_rng(0)
    labels = np.zeros((200, 200), dtype=np.int32)
    labels[60:150, 40:120] = 1
    targets = make_targets(labels, 0.5)
    image = np.repeat((labels > 0).astype(np.float32)[..., None], 3, axis=2)
    for _ in range(5):
        picture, truth = random_window(image, targets, 128, float(rng.uniform(0.7, 1.3)), rng)
        seen = truth[..., 3] > 0
        assert np.abs(picture[..., 0] - truth[..., 0] / 255)[seen].mean() < 0.03


def test_training_goes_on_from_its_checkpoint(bank, tmp_path):
    crops = SectionCrops(bank, crop_px=64)
    train(crops, tmp_path, settings(steps=2))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    seen = []
    network = train(crops, tmp_path, settings(), progress=lambda *s: seen.append(s))
    assert seen == [("train", 3, 4), ("train", 4, 4)]
    assert not network.training
    assert torch.isfinite(network(torch.zeros(1, 3, 64, 64))).all()


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
