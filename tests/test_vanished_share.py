from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from drawn_sections import DrawnSection

from biopsy_ai import slide_task, vanished_share
from biopsy_ai.cohort import analyze_many
from biopsy_ai.errors import Cancelled, OutputError, SlideReadError
from biopsy_ai.vanished_share import Patience, is_away, require_folder


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vanished_share, "PAUSES_S", (0.01, 0.02, 0.03))


def wrapped(number: int) -> SlideReadError:
    error = SlideReadError("a.tif: cannot be read")
    error.__cause__ = OSError(number, "as the system says")
    return error


def test_what_says_that_a_share_is_away() -> None:
    assert is_away(wrapped(errno.ESTALE))
    assert is_away(wrapped(errno.EIO))
    assert is_away(OSError(errno.EHOSTDOWN, "host is down"))
    assert not is_away(wrapped(errno.ENOSPC))
    assert not is_away(wrapped(errno.EACCES))
    assert not is_away(ValueError("no"))
    assert not is_away(None)


def test_a_file_that_was_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.touch()
    patience = Patience([path, None], tmp_path)
    assert not patience.waits(SlideReadError("damaged"), None)
    path.unlink()
    for _ in range(3):
        assert patience.waits(SlideReadError("there is no such file"), None)
    assert not patience.waits(SlideReadError("there is no such file"), None)
    assert patience.attempts == 4
    assert "4 tries" in patience.told


def test_a_file_that_was_never_there_is_not(tmp_path: Path) -> None:
    patience = Patience([tmp_path / "none.tif"], tmp_path)
    assert not patience.waits(SlideReadError("there is no such file"), None)


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        Patience([], tmp_path).waits(wrapped(errno.ESTALE), stop)


def test_the_folder_of_a_run_is_not_made_anew(tmp_path: Path) -> None:
    require_folder(tmp_path)
    with pytest.raises(OutputError, match="network share"):
        require_folder(tmp_path / "gone")


@pytest.mark.usefixtures("fake_network")
class TestRun:
    @pytest.mark.parametrize(("times", "status"), [(2, "ok"), (9, "failed")])
    def test_reading(
        self,
        section: DrawnSection,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        times: int,
        status: str,
    ) -> None:
        real, left = slide_task.open_hashed, [times]

        def away(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise wrapped(errno.ESTALE)
            return real(*arguments)

        monkeypatch.setattr(slide_task, "open_hashed", away)
        (outcome,) = analyze_many([section.image], tmp_path / "out")
        assert outcome.status == status
        if status == "failed":
            assert "a.tif: cannot be read" in outcome.reason
            assert "4 tries" in outcome.reason

    def test_writing(
        self, section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The folder for results is away when the first slide is saved, and comes back."""
        out, real, away = tmp_path / "out", slide_task.require_folder, [True]

        def require(folder: Path) -> None:
            if away[0]:
                away[0] = False
                out.rename(tmp_path / "unmounted")
                try:
                    real(folder)
                finally:
                    (tmp_path / "unmounted").rename(out)
            real(folder)

        monkeypatch.setattr(slide_task, "require_folder", require)
        monkeypatch.setattr(Patience, "_is_missing", lambda self: True)
        (outcome,) = analyze_many([section.image], out)
        assert outcome.status == "ok"
        assert (out / "section" / "summary.json").is_file()
