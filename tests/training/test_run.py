import numpy as np
import pytest
import tifffile
import yaml

from biopsy_ai.errors import ConfigError
from biopsy_ai.segmentation import load_model
from biopsy_ai.synthesis import SectionParams, TissueParams, synthesize_section
from biopsy_ai.training import TrainConfig, bank, run
from biopsy_ai.training.real import load_training_image, read_training_list

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8], "blocks": 1}


@pytest.fixture
def training_list(tmp_path):
    params = SectionParams(TissueParams(diameter_um=(30.0, 30.0)), size_um=(150.0, 150.0))
    section = synthesize_section(params, 1)
    tifffile.imwrite(tmp_path / "a.tif", section.image)
    tifffile.imwrite(tmp_path / "a_fibers.tif", section.labels.astype(np.uint16))
    entries = [
        {"image": "a.tif", "labels": "a_fibers.tif", "mpp": 0.5, "license": "MIT"},
        {"image": "a.tif", "mpp": 0.5, "license": "CC0"},
    ]
    path = tmp_path / "training.yaml"
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return path


def test_real_images_come_on_the_working_grid(training_list):
    labelled, empty = map(load_training_image, read_training_list(training_list))
    assert labelled.image.shape == (300, 300, 3)
    assert labelled.labels.max() > 5
    assert labelled.targets[..., 0].any()
    assert not empty.targets[..., 0].any()


def test_shrinking_draws_labels_back(training_list):
    entry = read_training_list(training_list)[0]
    plain = load_training_image(entry).labels > 0
    drawn_back = load_training_image(entry | {"shrink_um": 2.0}).labels > 0
    assert not (drawn_back & ~plain).any()
    assert drawn_back.sum() < 0.95 * plain.sum()


@pytest.mark.parametrize(
    "text", ["{}", "- {image: a.tif}", "- {image: a, mpp: 1, license: MIT, color: red}", "- ["]
)
def test_bad_lists_are_refused_by_name(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="bad.yaml"):
        read_training_list(path)


def test_training_writes_a_model_that_loads(training_list, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ARCHITECTURE", TINY)
    monkeypatch.setattr(bank, "FIELD_UM", 150.0)
    monkeypatch.setattr(
        run,
        "render_bank",
        lambda folder, count, **_: [_bank_file(folder, seed) for seed in range(count)],
    )
    stages = []
    folder = run.train_model(
        tmp_path / "model",
        name="tiny",
        work=tmp_path / "work",
        config=TrainConfig(steps=3, batch=2, crop_px=64, workers=0),
        sections=2,
        tuning_sections=1,
        real=training_list,
        development=training_list,
        device="cpu",
        progress=lambda stage, *_: stages.append(stage),
    )
    model = load_model(folder)
    assert model.spec["trained_on"][0] == {"image": "a", "license": "MIT"}
    assert {"train", "predict", "tune"} <= set(stages)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "research use only" in card
    assert "a (MIT)" in card


def _bank_file(folder, seed):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed:08d}.npz"
    bank._write_section(path, seed, ())
    return path


def test_bank_keeps_what_is_there(tmp_path, monkeypatch):
    (tmp_path / "00000007.npz").write_bytes(b"kept")
    (tmp_path / "00000008.npz").write_bytes(b"kept")
    assert len(bank.render_bank(tmp_path, 2, seed=7)) == 2
    assert (tmp_path / "00000007.npz").read_bytes() == b"kept"


def test_too_many_sections_would_meet_the_tuning_seeds(tmp_path):
    with pytest.raises(ConfigError, match="sections"):
        run.train_model(
            tmp_path, name="x", work=tmp_path, config=TrainConfig(seed=499_999), sections=5
        )
