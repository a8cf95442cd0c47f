from __future__ import annotations

from pathlib import Path

import pytest
from drawn_sections import draw_section

from biopsy_ai import run_lock
from biopsy_ai.cohort import analyze_many
from biopsy_ai.errors import OutputError
from biopsy_ai.run_lock import LOCK_FILE, alone_in


@pytest.mark.usefixtures("fake_network")
def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    section, out = draw_section(tmp_path, "a"), tmp_path / "results"
    out.mkdir()
    with alone_in(out):
        with pytest.raises(OutputError, match=r"results: another run.*in this program.*--out"):
            analyze_many([section.image], out)
        assert [path.name for path in out.iterdir()] == [LOCK_FILE]
    (outcome,) = analyze_many([section.image], out)
    assert outcome.status == "ok"
    assert not (out / LOCK_FILE).exists()


def test_what_goes_wrong_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), alone_in(tmp_path):
        raise OSError("full")
    with alone_in(tmp_path):
        pass


def test_without_locks_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(run_lock, "NamedLock", no_locks)
    done = []
    with alone_in(tmp_path):
        done.append(1)
    assert done == [1]
