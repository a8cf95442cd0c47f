from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from biopsy_ai.errors import ConfigError, OutlineReadError, OutputError
from biopsy_ai.segmentation import load_model
from biopsy_ai.segmentation.activation_ranges import activated_modules
from biopsy_ai.synthesis import SectionParams, TissueParams, synthesize_section
from biopsy_ai.training import TrainConfig, bank, fingerprint, run
from biopsy_ai.training.card import END_MARK, START_MARK
from biopsy_ai.training.real import load_training_image, read_training_list
from biopsy_ai.training.targets import NOT_CLASS, UNKNOWN_CLASS

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
    assert labelled.has_fibers
    assert not empty.has_fibers
    assert empty.knows_fibers
    assert labelled.nuclei is None
    assert not labelled.truth.nuclei[..., 1].any()
    assert (labelled.truth.tissue[labelled.labels > 0] == 1).all()
    assert (empty.truth.tissue == NOT_CLASS + 1).all()


def test_real_images_may_tell_nuclei_alone(training_list, tmp_path):
    nuclei = np.zeros((300, 300), np.uint8)
    nuclei[20:30, 20:30] = nuclei[50:60, 20:30] = 255
    tifffile.imwrite(tmp_path / "a_nuclei.tif", nuclei)
    entry = read_training_list(training_list)[1] | {"nuclei": tmp_path / "a_nuclei.tif"}
    image = load_training_image(entry)
    assert image.nuclei is not None
    assert image.nuclei.max() == 2
    assert not image.knows_fibers
    assert image.truth.nuclei[..., 1].all()
    assert (image.truth.tissue == UNKNOWN_CLASS).all()
    assert image.origin["nuclei_sha256"]


@pytest.mark.parametrize(("text", "value"), [("fat", 4), ("not fat", NOT_CLASS + 4)])
def test_pictures_without_muscle_may_tell_their_tissue(training_list, text, value):
    image = load_training_image(read_training_list(training_list)[1] | {"tissue": text})
    assert (image.truth.tissue == value).all()
    assert image.knows_fibers
    assert not image.truth.nuclei[..., 1].any()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tissue": "bone"}, "the tissue 'bone'.*fat"),
        ({"tissue": "fat", "labels": "b.tif"}, "tissue and labels"),
        ({"nuclei": "b.tif", "channel": 1}, "nuclei and channel"),
    ],
)
def test_entries_that_contradict_themselves_are_refused(tmp_path, more, words):
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump([{"image": "a.tif", "mpp": 1, "license": "MIT"} | more]))
    with pytest.raises(ConfigError, match=f"entry 1 has {words}"):
        read_training_list(path)


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


@pytest.fixture
def train(tmp_path, training_list, monkeypatch):
    """Train a tiny model quickly; takes what `train_model` takes."""
    monkeypatch.setattr(run, "ARCHITECTURE", TINY)
    monkeypatch.setattr(bank, "FIELD_UM", 150.0)
    monkeypatch.setattr(
        run,
        "render_bank",
        lambda folder, count, **_: [_bank_file(folder, seed) for seed in range(count)],
    )

    def one(out="model", **options):
        config = TrainConfig(steps=3, batch=2, crop_px=64, workers=0)
        values = {"name": "tiny", "config": config, "sections": 2, "tuning_sections": 0}
        return run.train_model(tmp_path / out, **(values | {"device": "cpu"} | options))

    return one


def test_training_writes_a_model_that_loads(train, training_list, tmp_path):
    stages = []
    folder = train(
        real=training_list,
        development=training_list,
        tuning_sections=1,
        version="3",
        progress=lambda stage, *_: stages.append(stage),
    )
    model = load_model(folder)
    assert model.spec["version"] == "3"
    needed = {name for name, _ in activated_modules(model.unfolded())}
    assert model.activation_ranges.keys() == needed, "it can be run in whole numbers"
    assert model.spec["trained_on"][0] == {"image": "a", "license": "MIT"}
    assert {"train", "predict", "tune"} <= set(stages)
    assert (tmp_path / "model-work" / "checkpoint.pt").exists()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "research use only" in card
    assert "a (MIT)" in card
    assert "Training began from random weights" in card
    assert "Nothing was looked at yet" in card


def test_a_model_says_what_it_owes_to_another(train, training_list, tmp_path):
    first = load_model(train(real=training_list, outline_files=[tmp_path / "a_fibers.tif"]))
    second = load_model(
        train(
            "second",
            start=first.folder,
            outline_files=[tmp_path / "a_fibers.tif"],
            outlines_license="CC-BY",
        )
    )
    assert first.spec["start"] is None
    assert first.spec["outlines"][0]["license"] is None
    start = second.spec["start"]
    assert (start["name"], start["version"]) == ("tiny", "1")
    assert start["weights_sha256"] == first.weights_sha256
    assert start["trained_on"] == first.spec["trained_on"]
    card = (second.folder / "README.md").read_text(encoding="utf-8")
    assert f"began from the weights of tiny 1 (SHA-256 {first.weights_sha256[:12]}…)" in card
    assert "The training of tiny 1 began from random weights" in card
    assert "- a (MIT)" in card
    assert "outlines of a_fibers.tif, for some synthetic sections (CC-BY)" in card
    assert "Licenses: CC0 (1), MIT (1), CC-BY (1), not stated (1)." in card


def test_the_tissue_classes_alone_can_go_on_learning(train, training_list):
    first = load_model(train(real=training_list, development=training_list, tuning_sections=1))
    config = TrainConfig(steps=2, batch=2, crop_px=64, workers=0, only="tissue")
    second = load_model(train("second", start=first.folder, config=config, tuning_sections=1))
    before, after = first.unfolded().state_dict(), second.unfolded().state_dict()
    changed = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert changed == {"tissue_head"}
    ranges = second.activation_ranges
    assert ranges.keys() == first.activation_ranges.keys()
    moved = {name for name, end in first.activation_ranges.items() if ranges[name] != end}
    assert all(name.startswith("tissue_head") for name in moved)
    for name in ("thresholds", "nucleus_thresholds", "tuning"):
        assert second.spec.get(name) == first.spec.get(name), name
    assert second.spec["tuning"]
    card = (second.folder / "README.md").read_text(encoding="utf-8")
    assert "2 steps of 2 crops of 64 px, in which the tissue classes alone learned." in card


@pytest.mark.parametrize(
    ("only", "options", "words"),
    [
        ("fat", {}, "choose among nuclei, tissue"),
        ("tissue", {"start": None}, "--start"),
        ("nuclei", {"heads": False}, "heads"),
    ],
)
def test_a_part_that_cannot_learn_alone_is_refused(train, only, options, words):
    config = TrainConfig(steps=1, batch=2, crop_px=64, workers=0, only=only)
    with pytest.raises(ConfigError, match=words):
        train(**({"start": "muscle", "config": config} | options))


def test_training_again_keeps_what_was_written_by_hand(train):
    card = train() / "README.md"
    text = card.read_text(encoding="utf-8").replace("Nothing was looked at yet", "Misses fat cells")
    card.write_bytes(f"Before.\n{text}".encode() + b"In \xb5m.\n")
    train(work=card.parent / "again", version="2", name="other")
    content = card.read_bytes()
    assert content.startswith(f"Before.\n{START_MARK}".encode())
    assert content.endswith(b"In \xb5m.\n")
    assert b"Misses fat cells" in content
    assert b"# other 2" in content
    assert b"tiny 1" not in content
    assert content.count(START_MARK.encode()) == content.count(END_MARK.encode()) == 1


def test_another_model_in_the_same_work_folder_is_refused(train, training_list, tmp_path):
    train(work=tmp_path / "work")
    for options, words in [
        ({"real": training_list}, "real 1 image: nothing there, a.tif now"),
        ({"sections": 1}, "sections: 2 there, 1 now"),
        ({"start": tmp_path / "model"}, "start weights: nothing there"),
        ({"outline_files": [tmp_path / "a_fibers.tif"]}, "bank outlines 1 file"),
    ]:
        with pytest.raises(ConfigError, match=words):
            train("other", work=tmp_path / "work", **options)
    assert not (tmp_path / "other").exists()


def test_heads_and_real_fat_are_written_down(train, outlines):
    first = train(heads=False)
    assert not load_model(first).draws_nuclei
    second = train("second", start=first, adipose=[outlines], adipose_license="MIT")
    model = load_model(second)
    assert model.draws_nuclei
    assert model.draws_tissue
    card = (second / "README.md").read_text(encoding="utf-8")
    assert "Draws nuclei and the tissue class of each pixel as well." in card
    assert "fat of outlines.tif, as texture of some synthetic sections (MIT)" in card
    assert "Draws nuclei" not in (first / "README.md").read_text(encoding="utf-8")


def test_unwritable_output_is_told_before_anything_is_rendered(train, tmp_path):
    (tmp_path / "file").touch()
    for out in ("file", "file/model"):
        with pytest.raises(OutputError, match=r"file.*--out"):
            train(out, work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_changed_labels_are_another_training(train, training_list, tmp_path):
    train(real=training_list)
    labels = tifffile.imread(tmp_path / "a_fibers.tif")
    tifffile.imwrite(tmp_path / "a_fibers.tif", np.where(labels == 1, 0, labels))
    with pytest.raises(ConfigError, match="real 1 labels_sha256"):
        train(real=training_list)


def test_every_model_has_its_own_work_folder(monkeypatch, tmp_path):
    assert run.work_folder("models/mine/") == Path("models/mine-work").absolute()
    monkeypatch.chdir(tmp_path)
    assert run.work_folder(".") == tmp_path.with_name(f"{tmp_path.name}-work")


def _bank_file(folder, seed):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed:08d}.npz"
    bank._write_section(path, seed, ())
    return path


@pytest.fixture
def outlines(tmp_path):
    path = tmp_path / "outlines.tif"
    tifffile.imwrite(path, np.ones((30, 30), dtype=np.uint8))
    return path


def test_bank_keeps_what_is_there(tmp_path, outlines):
    folder = tmp_path / "bank"
    bank.render_bank(folder, 0, seed=7, outline_files=(outlines,))
    for name in ("00000007.npz", "00000008.npz"):
        (folder / name).write_bytes(b"kept")
    assert len(bank.render_bank(folder, 2, seed=7, outline_files=(outlines,))) == 2
    assert (folder / "00000007.npz").read_bytes() == b"kept"


def test_bank_made_otherwise_is_refused(tmp_path, outlines, monkeypatch):
    folder = tmp_path / "bank"
    bank.render_bank(folder, 0)
    with pytest.raises(ConfigError, match="seed: 0 there, 1 now.*--work"):
        bank.render_bank(folder, 0, seed=1)
    with pytest.raises(ConfigError, match="outlines 1 sha256: nothing there"):
        bank.render_bank(folder, 0, outline_files=(outlines,))
    monkeypatch.setattr(fingerprint, "files_sha256", lambda *_: "0" * 64)
    with pytest.raises(ConfigError, match="generator: .* there, 000000000000… now"):
        bank.render_bank(folder, 0)


def test_bank_of_unknown_origin_is_refused(tmp_path):
    (tmp_path / "00000000.npz").write_bytes(b"old")
    with pytest.raises(ConfigError, match="does not say"):
        bank.render_bank(tmp_path, 1)
    (tmp_path / bank.RECORD_FILE).write_text("[", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        bank.render_bank(tmp_path, 1)


def test_missing_outlines_are_told_before_anything_is_rendered(tmp_path):
    with pytest.raises(OutlineReadError, match=r"nothing\.tif.*--outlines"):
        bank.render_bank(tmp_path / "bank", 1, outline_files=(tmp_path / "nothing.tif",))


def test_too_many_sections_would_meet_the_tuning_seeds(tmp_path):
    with pytest.raises(ConfigError, match="sections"):
        run.train_model(
            tmp_path, name="x", work=tmp_path, config=TrainConfig(seed=499_999), sections=5
        )
