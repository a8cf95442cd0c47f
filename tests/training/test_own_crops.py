from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from drawn_datasets import drawn_section, write_pair, write_reviewed

from biopsy_ai.training.bank import write_bank_section
from biopsy_ai.training.collection import find_dataset
from biopsy_ai.training.loading import load_dataset
from biopsy_ai.training.own_crops import OwnCrops
from biopsy_ai.training.targets import NOT_CLASS, UNKNOWN_CLASS

pytest.importorskip("torchvision", reason="pip install biopsy-ai[train]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="module")
def bank(folder: Path) -> list[Path]:
    write_bank_section(folder / "0.npz", drawn_section(5))
    return [folder / "0.npz"]


@pytest.fixture(scope="module")
def items(folder: Path):
    known = np.zeros(drawn_section(1).labels.shape, np.uint8)
    known[:, :90] = 255
    write_reviewed(folder / "data" / "one", 1, known=known)
    write_pair(folder / "data", "two", 2)
    dataset = find_dataset(folder / "data")
    loaded = load_dataset(dataset, folder / "work")
    assert not dataset.problems
    return loaded


def taken(items, bank, n: int = 12, **options):
    crops = OwnCrops(items, bank, **({"crop_px": 64, "own_share": 1.0, "seed": 3} | options))
    return list(islice(iter(crops), n))


def test_crops_lie_where_labels_are_known(items) -> None:
    for sample in taken(items[:1], ()):
        assert sample.image.shape == (3, 64, 64)
        assert sample.fibers.shape == (4, 64, 64)
        assert (sample.fibers[3] > 0).float().mean() > 0.1
        assert not sample.nuclei[2].any()


def test_tissue_is_known_as_far_as_fibers_are(items) -> None:
    for sample in taken(items[:1], ()):
        values = set(np.unique(sample.tissue.numpy()).tolist())
        assert values <= {1, NOT_CLASS + 1, UNKNOWN_CLASS}


def test_synthetic_crops_are_mixed_in(items, bank) -> None:
    knows_nuclei = [bool(s.nuclei[2].any()) for s in taken(items, bank, 60, own_share=0.5)]
    assert 15 < sum(knows_nuclei) < 45
    assert not any(s.nuclei[2].any() for s in taken(items, bank, own_share=1.0))


def test_without_a_bank_all_crops_are_own(items) -> None:
    assert len(taken(items, (), own_share=0.2)) == 12


def test_the_same_seed_gives_the_same_crops(items, bank) -> None:
    first, second, other = (taken(items, bank, 4, seed=seed) for seed in (1, 1, 2))
    assert all((a.image == b.image).all() for a, b in zip(first, second, strict=True))
    assert not all((a.image == b.image).all() for a, b in zip(first, other, strict=True))
