"""The example notebook: small, shown with its results, and in step with the tables."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_runs import Slide, draw_run

from biopsy_ai.patients import collect


@pytest.fixture
def notebook(repository: Path) -> dict[str, Any]:
    path = repository / "docs" / "compare_groups.ipynb"
    assert path.stat().st_size < 100_000
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_it_is_shown_with_its_results(notebook: dict[str, Any]) -> None:
    ran = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))
    outputs = [output for cell in ran for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    said = json.dumps(outputs)
    assert "difference " in said
    assert "/home" not in said
    assert "/tmp" not in said
    assert "site-packages" not in said
    assert "research use only" in json.dumps(notebook)


def test_it_runs_on_the_tables_as_they_are(
    notebook: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a drawn run in place of an analyzed one: where sizes of patients and blocks scatter."""
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(3)
    slides = []
    for arm, mean in (("normal", 50.0), ("dystrophy", 40.0)):
        for patient in range(6):
            own = mean * rng.lognormal(0, 0.1)
            for block in "AB":
                diameters = own * rng.lognormal(0, 0.05) * rng.lognormal(0, 0.2, 60)
                name = f"{arm[0].upper()}{patient + 1}"
                slides.append(Slide(f"{name}{block}", diameters, name, block, sheet={"arm": arm}))
    collect(draw_run(tmp_path / "results", slides))
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for cell in notebook["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and not source.startswith("!"):
                exec(compile(source, "notebook", "exec"), known)
    assert os.path.exists("sections.csv")
    difference = float(known["model"].params["arm[T.dystrophy]"])
    means = known["patients"].groupby("arm")["mean_min_feret_um"].mean()
    assert difference == pytest.approx(means["dystrophy"] - means["normal"], abs=0.5)
    assert difference < -3
    assert f"difference {difference:.1f} µm" in said.getvalue()
