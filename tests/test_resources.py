"""The three ways in which models and samples are found.

A wheel and an editable install are tested for real in test_packaging.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from biopsy_ai import resources
from biopsy_ai.errors import ModelError, OutputError, SlideReadError
from biopsy_ai.resources import bundled, bundled_folder, copy_samples, list_models, sample_slides


def make_model(folder: Path, name: str = "muscle") -> Path:
    model = folder / name
    model.mkdir(parents=True)
    (model / "model.yaml").write_text("name: muscle\n")
    return model


def make_wheel(root: Path) -> Path:
    package = root / "site-packages" / "biopsy_ai"
    make_model(package / "_bundled" / "models")
    samples = package / "_bundled" / "sample_slides"
    (samples / "truth").mkdir(parents=True)
    for name in ("b.tif", "a.tif", "README.md", "truth/a_fibers.tif"):
        (samples / name).write_text(name)
    return package


def make_checkout(root: Path) -> Path:
    package = root / "biopsy_ai"
    package.mkdir(parents=True)
    (root / "pyproject.toml").touch()
    make_model(root / "models")
    (root / "data" / "sample_slides").mkdir(parents=True)
    return package


def test_wheel(tmp_path: Path) -> None:
    package = make_wheel(tmp_path)
    inside = package / "_bundled"
    assert bundled("models", "muscle", package) == inside / "models" / "muscle"
    assert bundled("sample_slides", "a.tif", package) == inside / "sample_slides" / "a.tif"


def test_checkout(tmp_path: Path) -> None:
    package = make_checkout(tmp_path)
    assert bundled("models", "muscle", package) == tmp_path / "models" / "muscle"
    assert bundled_folder("sample_slides", package) == tmp_path / "data" / "sample_slides"


def test_this_installation() -> None:
    assert bundled_folder("models") is not None
    assert bundled_folder("sample_slides") is not None


def test_wheel_does_not_take_a_folder_of_another_package(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "biopsy_ai"
    package.mkdir(parents=True)
    make_model(tmp_path / "site-packages" / "models")
    assert bundled_folder("models", package) is None
    with pytest.raises(ModelError, match="no models"):
        bundled("models", "muscle", package)


def test_unknown_name_lists_what_is_there(tmp_path: Path) -> None:
    package = make_wheel(tmp_path)
    with pytest.raises(ModelError, match=r"heart.*muscle"):
        bundled("models", "heart", package)
    with pytest.raises(SlideReadError, match=r"c\.tif.*a\.tif, b\.tif"):
        bundled("sample_slides", "c.tif", package)


@pytest.mark.parametrize("name", ["", ".", "..", "../sample_slides", "/etc"])
def test_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError):
        bundled("models", name, make_wheel(tmp_path))


def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = make_wheel(tmp_path)
    (package / "_bundled" / "models" / "README.md").touch()
    monkeypatch.setattr(resources, "bundled_folder", lambda kind: package / "_bundled" / kind)
    assert list_models() == ["muscle"]
    assert [path.name for path in sample_slides()] == ["a.tif", "b.tif"]


def test_copy_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = make_wheel(tmp_path)
    monkeypatch.setattr(resources, "bundled_folder", lambda kind: package / "_bundled" / kind)
    copied = copy_samples(tmp_path / "my samples")
    assert [path.read_text() for path in copied] == ["a.tif", "b.tif"]
    assert (tmp_path / "my samples" / "truth" / "a_fibers.tif").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        copy_samples(tmp_path / "file")


def test_copy_samples_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "bundled_folder", lambda kind: None)
    with pytest.raises(SlideReadError, match="no sample slides"):
        copy_samples("anywhere")
