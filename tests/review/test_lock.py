"""The lock of a review between processes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from biopsy_ai.errors import ReviewError
from biopsy_ai.review.lock import LOCK_FILE, ReviewLock

HOLD = """
import sys
from pathlib import Path
from biopsy_ai.review.lock import ReviewLock
lock = ReviewLock(Path(sys.argv[1]), "Ben")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until it dies."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_another_process_is_told_who_holds_it(tmp_path, holder):
    words = rf"reviewed by Ben in another window \(process {holder.pid}\). Close it there first"
    with pytest.raises(ReviewError, match=words):
        ReviewLock(tmp_path, "Ada")
    holder.kill()
    holder.wait()
    # what a killed process leaves behind holds nobody up
    assert (tmp_path / LOCK_FILE).exists()
    lock = ReviewLock(tmp_path, "Ada")
    assert json.loads((tmp_path / LOCK_FILE).read_text())["user"] == "Ada"
    lock.release()
    lock.release()
    assert not (tmp_path / LOCK_FILE).exists()


def test_another_computer_is_named(tmp_path, holder):
    path = tmp_path / LOCK_FILE
    path.write_text(json.dumps({"user": "Ben", "host": "lab-3", "pid": 1}))
    with pytest.raises(ReviewError, match="by Ben on lab-3"):
        ReviewLock(tmp_path, "Ada")
    path.write_text("?")
    with pytest.raises(ReviewError, match="by someone else"):
        ReviewLock(tmp_path, "Ada")


def test_a_lock_file_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    import biopsy_ai.named_lock as room

    tried = room.try_lock
    first = []

    def removed_before_it_was_locked(file):
        if not first:
            first.append(file)
            (tmp_path / LOCK_FILE).unlink()
        return tried(file)

    monkeypatch.setattr(room, "try_lock", removed_before_it_was_locked)
    lock = ReviewLock(tmp_path, "Ada")
    with pytest.raises(ReviewError, match="in this program"):
        ReviewLock(tmp_path, "Ben")
    lock.release()
