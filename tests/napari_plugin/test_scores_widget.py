"""Scores and findings in the window: what is said, and what a click on a line shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_scores import HOSTILE, finding_of, score_of

from biopsy_ai.report.document import Bar
from napari_plugin.score_bar import ScoreBar
from napari_plugin.scores_widget import NO_SECTION, ScoresWidget
from napari_plugin.section import open_results

pytestmark = pytest.mark.gui


@pytest.fixture
def scored(results: Path) -> Path:
    """Results with a verdict and three findings, one of which cannot be assessed."""
    path = results / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["score"] = score_of()
    summary["findings"] = [
        finding_of("small_angular_fibers", labels=[2, 3, 99]),
        finding_of("type_grouping", "not assessable"),
        finding_of("internal_nuclei", "absent"),
    ]
    path.write_text(json.dumps(summary), encoding="utf-8")
    return results


def lines(tree: Any) -> list[list[str]]:
    return [
        [tree.topLevelItem(row).text(column) for column in range(tree.columnCount())]
        for row in range(tree.topLevelItemCount())
    ]


def test_without_a_section(make_napari_viewer: Any) -> None:
    widget = ScoresWidget(make_napari_viewer())
    assert widget.verdict.text() == NO_SECTION
    assert not widget.lists.isVisibleTo(widget)
    assert not any(bar.isVisibleTo(widget) for bar in widget.bars)


def test_scores_of_the_section(make_napari_viewer: Any, scored: Path) -> None:
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    open_results(viewer, scored)
    assert widget.verdict.text() == "Favours denervation."
    assert "Small angular fibers speak for denervation." in widget.reasons.text()
    assert [bar.bar.title for bar in widget.bars if bar.bar] == [
        "Denervation",
        "Myopathy",
        "Denervation against myopathy",
    ]
    assert widget.notes.text() == "• The age is not given."
    evidence = lines(widget.evidence)
    assert [line[0] for line in evidence] == [
        "Before any evidence",
        "Small angular fibers",
        "Grouped atrophy",
        "Internal nuclei",
        "Score",
        "Type grouping",
    ]
    points = [float(line[1].replace("\u2212", "-")) for line in evidence[:4]]
    assert sum(points) == pytest.approx(float(evidence[4][1]))
    assert lines(widget.findings) == [
        ["Small angular fibers", "Mild", "7.40 %"],
        ["Internal nuclei", "Absent", "7.40 %"],
        ["Type grouping", "not assessable", ""],
    ]


def test_a_click_on_a_finding_shows_its_fibers(make_napari_viewer: Any, scored: Path) -> None:
    viewer = make_napari_viewer(show=True)
    widget = ScoresWidget(viewer)
    viewer.window.add_dock_widget(widget, area="right")
    section = open_results(viewer, scored)
    viewer.scene.camera.center = (0, 0, 0)
    widget.findings.setCurrentItem(widget.findings.topLevelItem(0))
    np.testing.assert_array_equal(section.selection, [2, 3])
    # between fibers 2 and 3, which lie side by side in the first row
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (12, 48), atol=1)
    assert "2 fibers are lit" in widget.detail.text()
    assert "7.4 % of 312 fibers show small_angular_fibers" in widget.detail.text()
    assert "Usual: Below 2 %" in widget.detail.text()
    lit = section.layers["selection"]
    assert lit.visible
    labels = np.asarray(section.review.labels)
    assert set(np.unique(labels[np.asarray(lit.data) > 0])) == {2, 3}
    widget.findings.setCurrentItem(widget.findings.topLevelItem(2))
    assert "This stain shows none" in widget.detail.text()
    assert len(section.selection) == 0


def test_a_click_on_evidence_shows_its_fibers(make_napari_viewer: Any, scored: Path) -> None:
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    section = open_results(viewer, scored)
    widget.evidence.setCurrentItem(widget.evidence.topLevelItem(1))
    np.testing.assert_array_equal(section.selection, [2, 3])
    assert "Limited to the most" in widget.detail.text()
    widget.evidence.setCurrentItem(widget.evidence.topLevelItem(0))
    np.testing.assert_array_equal(section.selection, [2, 3])


def test_scores_follow_the_review(
    make_napari_viewer: Any, scored: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_plugin import rescoring

    monkeypatch.setattr(rescoring, "WAIT_MS", 50)
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    section = open_results(viewer, scored)
    section.apply(lambda review: review.delete([2]))
    assert "made again" in widget.state.text()
    qtbot.waitUntil(lambda: not section.is_rescoring, timeout=60_000)
    # the drawn section has 11 fibers left, which is too few to conclude anything
    assert widget.verdict.text() == "Not enough tissue."
    assert "1 change " in widget.state.text()


def test_scores_that_could_not_be_made_again_are_said_to_be_old(
    make_napari_viewer: Any, scored: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari.utils.notifications as notifications

    import biopsy_ai.pipeline
    from biopsy_ai.errors import BiopsyError
    from napari_plugin import rescoring

    def broken(*_: Any, **__: Any) -> None:
        raise BiopsyError("there is no room")

    monkeypatch.setattr(rescoring, "WAIT_MS", 10)
    monkeypatch.setattr(notifications, "show_error", lambda text: None)
    monkeypatch.setattr(biopsy_ai.pipeline, "rescore", broken)
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    section = open_results(viewer, scored)
    section.apply(lambda review: review.delete([2]))
    qtbot.waitUntil(lambda: not section.is_rescoring, timeout=30_000)
    assert widget.state.text() == "The fibers have changed since the scores were made."


def test_results_without_a_score(make_napari_viewer: Any, scored: Path) -> None:
    path = scored / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    del summary["score"], summary["findings"]
    path.write_text(json.dumps(summary), encoding="utf-8")
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    open_results(viewer, scored)
    assert "no score" in widget.verdict.text()
    assert widget.evidence.topLevelItemCount() == widget.findings.topLevelItemCount() == 0


def test_names_do_not_become_markup(make_napari_viewer: Any, scored: Path) -> None:
    path = scored / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["score"]["sentence"] = HOSTILE
    path.write_text(json.dumps(summary), encoding="utf-8")
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    open_results(viewer, scored)
    assert HOSTILE.split("&")[0] in widget.reasons.text()
    assert widget.reasons.textFormat().name == "PlainText"


def test_the_bar_is_drawn_to_scale(qtbot: Any) -> None:
    widget = ScoreBar(Bar("Denervation", 25.0, 10.0, 40.0, "25 of 100"))
    qtbot.addWidget(widget)
    widget.resize(400, widget.sizeHint().height())
    picture = widget.grab().toImage()
    y = widget.fontMetrics().height() + 3 + 8
    colors = [picture.pixelColor(x, y) for x in range(400)]
    # displays may have fewer colors than the bar
    blue = [x for x, color in enumerate(colors) if _is_blue(color)]
    assert min(blue) == pytest.approx(40, abs=3)
    assert max(blue) == pytest.approx(160, abs=3)
    ink = widget.palette().windowText().color()
    assert abs(colors[100].lightness() - ink.lightness()) < 12
    assert "25 of 100" in widget.accessibleName()


def _is_blue(color: Any) -> bool:
    return bool(color.blue() > color.red() + 50)


def test_scores_of_a_review_that_goes_on(
    make_napari_viewer: Any, scored: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed before counts in the scores when the results are opened again."""
    from biopsy_ai.review import Review
    from napari_plugin import rescoring

    with Review.open(scored) as review:
        review.delete([2])
    monkeypatch.setattr(rescoring, "WAIT_MS", 50)
    viewer = make_napari_viewer()
    widget = ScoresWidget(viewer)
    section = open_results(viewer, scored)
    assert "made again" in widget.state.text()
    qtbot.waitUntil(lambda: not section.is_rescoring, timeout=60_000)
    assert widget.verdict.text() == "Not enough tissue."
