import numpy as np
import pytest

from biopsy_ai import labels as label_images
from biopsy_ai import processors
from biopsy_ai.patterns import territories
from biopsy_ai.patterns.territories import measure_territories


def lines(labels: np.ndarray, *, gap: float = 5.0, reach: float = 20.0) -> dict:
    table = measure_territories(labels, (1.0, 1.0), gap_um=gap, reach_um=reach)
    return table.set_index(["label", "neighbor"]).to_dict("index")


def test_a_lone_territory_ends_at_half_of_the_reach():
    labels = np.zeros((80, 80), int)
    labels[30:50, 30:50] = 4
    found = lines(labels)
    assert list(found) == [(0, 4)]
    # a square with rounded corners
    assert found[0, 4]["met_um"] == pytest.approx(80 + 2 * np.pi * 10, rel=0.04)
    assert found[0, 4]["near_um"] == 0
    assert np.isnan(found[0, 4]["near_gap_um"])


def test_a_territory_goes_on_outside_of_the_image():
    labels = np.zeros((80, 80), int)
    labels[30:50, 30:50] = 4
    cut = lines(labels[30:50, 30:])
    assert list(cut) == [(0, 4)]
    assert cut[0, 4]["met_um"] == lines(labels)[0, 4]["met_um"]


def test_a_line_has_near_and_far_parts():
    labels = np.zeros((120, 120), int)
    labels[10:110, 10:50] = 1
    labels[10:60, 53:100] = 2
    labels[60:110, 61:100] = 2
    found = lines(labels)[1, 2]
    assert found["met_um"] == pytest.approx(104, abs=12)
    assert found["near_um"] == pytest.approx(50, abs=5)
    assert found["near_gap_um"] == pytest.approx(3, abs=0.3)
    assert found["met_gap_um"] == pytest.approx(7, abs=1)


def test_two_with_a_third_between_do_not_meet():
    labels = np.zeros((60, 60), int)
    labels[20:40, 10:25], labels[5:55, 26:28], labels[20:40, 29:45] = 1, 2, 3
    assert (1, 3) not in lines(labels)


def test_progress_is_told_and_nothing_is_nothing():
    told = []
    table = measure_territories(
        np.zeros((50, 40), np.uint16),
        (0.5, 0.5),
        gap_um=5,
        reach_um=20,
        progress=lambda *what: told.append(what),
    )
    assert table.empty
    assert told[-1] == ("contacts", 1, 1)


@pytest.mark.parametrize("cores", [1, 3])
def test_lines_do_not_depend_on_cores_and_drawing_can_be_stopped(cores, monkeypatch):
    labels = np.kron(np.arange(1, 65).reshape(8, 8), np.ones((40, 40), int))
    whole = measure_territories(labels, (1.0, 1.0), gap_um=5, reach_um=20)
    monkeypatch.setattr(label_images, "WINDOW_PX", 64)
    monkeypatch.setattr(processors, "_share", cores)
    told, drawn = [], []
    draw = territories._lines

    def counted(*given):
        drawn.append(given)
        return draw(*given)

    def tell(stage, done, total):
        told.append((done, total))

    monkeypatch.setattr(territories, "_lines", counted)
    parts = measure_territories(labels, (1.0, 1.0), gap_um=5, reach_um=20, progress=tell)
    assert parts.equals(whole)
    total = told[0][1]
    assert told == [(done, total) for done in range(total + 1)]
    assert total > 20

    def stop(stage, done, total):
        if done == 2:
            raise InterruptedError

    before = len(drawn)
    with pytest.raises(InterruptedError):
        measure_territories(labels, (1.0, 1.0), gap_um=5, reach_um=20, progress=stop)
    assert len(drawn) - before <= (2 if cores == 1 else 2 + 2 * cores)
