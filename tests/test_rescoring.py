"""Scores made again from the table of fibers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_sections import DrawnSection

import biopsy_ai
from biopsy_ai import AnalysisConfig, analyze, labels, read_analysis, rescoring
from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import Cancelled, NoTissueError
from biopsy_ai.measure import measure_fibers
from biopsy_ai.patterns import territories
from biopsy_ai.pipeline import reanalyze, rescore
from biopsy_ai.rescoring import FibersNow, SectionMemory, contacts_now, nuclei_now, quick_settings
from biopsy_ai.saved import SavedAnalysis

DIGITS = 5e-6


@pytest.fixture
def saved(section: DrawnSection, fake_network: None, tmp_path: Path) -> SavedAnalysis:
    with analyze(section.image, AnalysisConfig(stain="he", sex="female")) as analysis:
        return read_analysis(analysis.save(tmp_path / "results"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SavedAnalysis:
    """A section in H&E with nuclei and fascicles."""
    (slide,) = (path for path in biopsy_ai.sample_slides() if path.stem == "acute_denervation_he")
    with analyze(slide, AnalysisConfig(stain="he", sex="male")) as analysis:
        return read_analysis(analysis.save(tmp_path_factory.mktemp("results") / "sample"))


def close(one: Any, other: Any, rel: float = 1e-3) -> bool:
    """Whether parts of summaries agree as far as six digits of the measurements allow."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key], rel) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            close(*pair, rel) for pair in zip(one, other, strict=True)
        )
    if isinstance(other, float) and isinstance(one, int | float):
        return one == pytest.approx(other, rel=rel, abs=rel)
    return bool(one == other)


def assert_reproduced(saved: SavedAnalysis) -> None:
    shuffled = saved.fibers.sample(frac=1, random_state=1)
    boxes = saved.segmentation.boxes[shuffled.index]
    memory = SectionMemory()
    for given in (boxes, None):
        found = rescore(
            saved, shuffled, saved.labels, given, corrections=Corrections(), memory=memory
        )
        pd.testing.assert_frame_equal(found.fibers, saved.fibers, rtol=DIGITS)
        pd.testing.assert_frame_equal(found.contacts, saved.contacts, rtol=3 * DIGITS)
        assert found.summary.keys() == saved.summary.keys()
        for part in saved.summary:
            assert close(found.summary[part], saved.summary[part]), part


def test_without_corrections_it_is_the_first_analysis(saved: SavedAnalysis) -> None:
    assert_reproduced(saved)


@pytest.mark.slow
def test_a_sample_is_reproduced(sample: SavedAnalysis) -> None:
    assert_reproduced(sample)


@pytest.mark.usefixtures("fake_network")
def test_outlines_alone_are_reproduced(section: DrawnSection, tmp_path: Path) -> None:
    types = tmp_path / "types.csv"
    types.write_text(
        "label,type\n" + "".join(f"{n},{'I' if n % 2 else 'IIA'}\n" for n in range(1, 13))
    )
    analysis = analyze(None, fibers=section.labels, types=types)
    assert_reproduced(read_analysis(analysis.save(tmp_path / "outlines")))


def edited(saved: SavedAnalysis) -> tuple[np.ndarray, Corrections]:
    """A few fibers are gone, one is parted, and a person decided on others."""
    drawn, ids = np.asarray(saved.labels).copy(), saved.segmentation.ids
    inner = saved.fibers["excluded"] == ""
    gone = saved.fibers.loc[inner, "label"].to_numpy()[::60]
    drawn[np.isin(drawn, gone)] = 0
    large = saved.fibers.loc[inner & ~saved.fibers["label"].isin(gone)]
    parted = int(large.loc[large["area_um2"].idxmax(), "label"])
    y0, x0, y1, x1 = saved.segmentation.boxes[np.searchsorted(ids, parted)].tolist()
    new, middle = int(ids.max()) + 1, (x0 + x1) // 2
    part = drawn[y0:y1, x0:x1]
    part[:, middle - x0][part[:, middle - x0] == parted] = 0
    part[:, middle - x0 :][part[:, middle - x0 :] == parted] = new
    left = [label for label in large["label"].tolist() if label != parted]
    return drawn, Corrections(
        types={label: "I" if label % 2 else "II" for label in left[:20]},
        conditions={left[0]: "necrotic"},
        exclusions={left[1]: "torn"},
        outlines=frozenset({parted, new}),
        record={"n_edits": 4},
    )


@pytest.mark.slow
def test_it_is_what_measuring_again_gives(sample: SavedAnalysis) -> None:
    """From the table of the corrected section: all but what the picture decides."""
    drawn, decided = edited(sample)
    with reanalyze(sample, drawn, decided) as analysis:
        table, summary, nuclei = analysis.fibers, analysis.summary, analysis.nuclei
        contacts, boxes = analysis.patterns.contacts.table(), analysis.segmentation.boxes  # type: ignore[union-attr]
    found = rescore(sample, table, drawn, boxes, corrections=decided)
    assert found.fibers.columns.tolist() == table.columns.tolist()
    shared = contacts.merge(found.contacts, on=["label", "neighbor"])
    # the gaps follow the median diameter, which has changed
    assert len(shared) > 0.99 * max(len(contacts), len(found.contacts))
    for name in ("is_atrophic", "is_angular_atrophic", "is_hypertrophic"):
        pd.testing.assert_series_equal(found.fibers[name], table[name])
    for part in ("fibers", "condition", "cores", "review"):
        assert close(found.summary[part], summary[part], 0.01), part
    score, expected = found.summary["score"], summary["score"]
    for change in ("denervation", "myopathy"):
        assert score[change]["value"] == pytest.approx(expected[change]["value"], abs=3.0)
    assert score["verdict"] == expected["verdict"]
    now = FibersNow.of(table, drawn, boxes)
    placed = nuclei_now(sample, now, quick_settings(sample, len(table))[1])
    assert placed is not None
    assert nuclei is not None
    assert (placed["fiber"] == nuclei["fiber"]).mean() > 0.995
    assert (placed["class"] == nuclei["class"]).mean() > 0.995
    for key in ("n_nuclei", "internal_fiber_percent"):
        assert found.summary["nuclei"][key] == pytest.approx(summary["nuclei"][key], abs=0.3)


@pytest.mark.slow
def test_nuclei_of_fibers_that_are_gone_lie_between_fibers(sample: SavedAnalysis) -> None:
    assert sample.nuclei is not None
    gone = sample.nuclei["fiber"].value_counts().drop(0, errors="ignore").index[:3]
    drawn = np.where(np.isin(sample.labels, gone), 0, sample.labels)
    kept = ~sample.fibers["label"].isin(gone).to_numpy()
    now = FibersNow.of(sample.fibers[kept], drawn, sample.segmentation.boxes[kept])
    placed = nuclei_now(sample, now, quick_settings(sample, 1)[1])
    assert placed is not None
    freed = sample.nuclei["fiber"].isin(gone)
    assert (placed.loc[freed, "fiber"] == 0).all()
    assert (placed.loc[freed, "class"] == "interstitial").all()
    assert placed.loc[freed, ["depth_um", "relative_depth"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(placed[~freed], sample.nuclei[~freed])
    assert placed["label"].equals(sample.nuclei["label"])


def test_only_what_changed_is_sought_again(
    saved: SavedAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window in which nothing has changed is not drawn again, and the contacts are the same."""
    monkeypatch.setattr(labels, "WINDOW_PX", 40)
    drawn_windows = []
    draw = territories._lines

    def counted(piece: Any, *more: Any) -> Any:
        drawn_windows.append(piece.shape)
        return draw(piece, *more)

    monkeypatch.setattr(territories, "_lines", counted)
    limits, memory = quick_settings(saved, 12)[1], SectionMemory()
    fibers, boxes = saved.fibers, saved.segmentation.boxes
    drawn = np.asarray(saved.labels).copy()
    contacts_now(saved, FibersNow.of(fibers, drawn, boxes), memory, limits, None)
    n_windows = len(drawn_windows)
    assert n_windows > 4
    contacts_now(saved, FibersNow.of(fibers, drawn, boxes), memory, limits, None)
    assert len(drawn_windows) == n_windows

    drawn[drawn == 12] = 0
    now = FibersNow.of(fibers.iloc[:-1], drawn, boxes[:-1])
    found = contacts_now(saved, now, memory, limits, None)
    assert 0 < len(drawn_windows) - n_windows < n_windows
    anew = contacts_now(saved, now, SectionMemory(), limits, None)
    pd.testing.assert_frame_equal(found.table(), anew.table())
    np.testing.assert_array_equal(found.n_sides, anew.n_sides)

    # another outline in the same box
    y0, x0, y1, x1 = boxes[0].tolist()
    drawn[y0 : y0 + 12, x0:x1][drawn[y0 : y0 + 12, x0:x1] == 1] = 0
    drawn[y0, (x0 + x1) // 2] = 1
    table = now.table.copy()
    again = measure_fibers(drawn, saved.segmentation.mpp, ids=np.array([1]), boxes=boxes[:1])
    for name in ("area_um2", "perimeter_um", "centroid_y_um", "centroid_x_um"):
        table.loc[0, name] = again.loc[0, name]
    now = FibersNow.of(table, drawn, boxes[:-1])
    found = contacts_now(saved, now, memory, limits, None)
    anew = contacts_now(saved, now, SectionMemory(), limits, None)
    pd.testing.assert_frame_equal(found.table(), anew.table())


def test_what_is_given_stays_as_it_is(saved: SavedAnalysis) -> None:
    drawn, decided = edited(saved)
    ids, boxes = labels.find_boxes(drawn)
    known = saved.fibers[saved.fibers["label"].isin(ids)]
    table = pd.concat([known, known.iloc[:1].assign(label=int(ids[-1]))], ignore_index=True)
    before, image, summary = table.copy(), drawn.copy(), repr(saved.summary)
    found = rescore(saved, table, drawn, boxes, corrections=decided)
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(drawn, image)
    assert repr(saved.summary) == summary
    assert found.fibers["label"].tolist() == ids.tolist()
    assert found.summary["review"]["fibers"]["removed"] == len(saved.fibers) - len(known)
    assert found.fibers.columns[-2:].tolist() == ["corrected", "excluded"]


def test_types_that_a_person_set_are_summarized(saved: SavedAnalysis) -> None:
    assert not saved.summary["types"]["assessable"]
    table = saved.fibers.copy()
    table["type"] = ["I", "IIA"] * 6
    table["type_posterior"], table["type_i_posterior"] = 1.0, [1.0, 0.0] * 6
    decided = Corrections(types={1: "I"})
    found = rescore(saved, table, saved.labels, corrections=decided).summary
    assert found["types"]["assessable"]
    assert found["types"]["typing"]["source"] == "review"
    assert found["types"]["counts"]["IIA"] == 6
    assert "why_not" not in found["patterns"]["type_grouping"] or found["score"]


def test_chance_is_drawn_less_often_in_large_sections(saved: SavedAnalysis) -> None:
    config, limits = quick_settings(saved, rescoring.QUICK_FROM_FIBERS - 1)
    assert config == saved.config
    assert limits["sensitivity_perturbations"] == 200
    config, limits = quick_settings(saved, rescoring.QUICK_FROM_FIBERS)
    assert config.patterns.n_permutations == rescoring.QUICK_PERMUTATIONS
    assert limits["sensitivity_perturbations"] == rescoring.QUICK_PERTURBATIONS
    assert limits["largest_group_permutations"] == rescoring.QUICK_PERMUTATIONS
    few = saved.config.model_copy(
        update={"patterns": saved.config.patterns.model_copy(update={"n_permutations": 99})}
    )
    config, _ = quick_settings(replace(saved, config=few), rescoring.QUICK_FROM_FIBERS)
    assert config.patterns.n_permutations == 99


def test_it_can_be_stopped_and_begun_again(saved: SavedAnalysis) -> None:
    memory = SectionMemory()
    seen: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.append(stage)
        if stage == "patterns":
            raise Cancelled(stage)

    state = saved, saved.fibers, saved.labels, saved.segmentation.boxes
    with pytest.raises(Cancelled):
        rescore(*state, corrections=Corrections(), memory=memory, progress=stop)
    assert memory.lines
    found = rescore(*state, corrections=Corrections(), memory=memory)
    pd.testing.assert_frame_equal(found.fibers, saved.fibers, rtol=DIGITS)
    stages: list[str] = []
    rescore(*state, corrections=Corrections(), progress=lambda stage, *_: stages.append(stage))
    assert list(dict.fromkeys(stages)) == ["contacts", "patterns", "score"]


def test_no_fiber_left(saved: SavedAnalysis) -> None:
    with pytest.raises(NoTissueError, match="no fiber is left"):
        rescore(saved, saved.fibers.iloc[:0], saved.labels, corrections=Corrections())
