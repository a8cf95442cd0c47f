"""A program that is killed in the middle of a review loses no finished change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.review import Review

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills by signal")

EDIT = """
import sys
import numpy as np
from biopsy_ai.errors import ReviewError
from biopsy_ai.review import Review

review = Review.open(sys.argv[1], user="Ada")
rng = np.random.default_rng(int(sys.argv[2]))
print("open", flush=True)
while True:
    label = int(rng.choice(review.ids))
    box = review.boxes[np.searchsorted(review.ids, label)] * review.mpp[0]
    act = rng.integers(6)
    try:
        if act == 0:
            x = rng.uniform(box[1], box[3])
            change = review.split(label, [(box[0] - 1, x), (box[2] + 1, x)])
        elif act == 1:
            change = review.merge([label, int(rng.choice(review.ids))])
        elif act == 2 and len(review.ids) > 15:
            change = review.delete([label])
        elif act == 3:
            change = review.set_type([label], str(rng.choice(["I", "II"])))
        elif act == 4:
            change = review.undo()
        else:
            change = review.redo()
    except ReviewError:
        continue
    if change is not None:
        # what follows is told after the change is done
        print(len(review._log.entries), flush=True)
"""


def test_no_finished_change_is_lost_however_often_the_program_is_killed(results, rng):
    done = 0
    for attempt in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", EDIT, str(results), str(attempt)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "open\n"
        told = [process.stdout.readline() for _ in range(rng.integers(1, 16))]
        time.sleep(float(rng.uniform(0, 0.03)))
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        process.wait()
        # the last line that was told may be cut off
        done = int([line for line in told if line.endswith("\n")][-1])
        with Review.open(results) as review:
            n = len(review._log.entries)
            # a change may be on the disk before it was told
            assert done <= n <= done + 1
            done = n
            labels, table = np.array(review.labels), review.table.copy()
            # it can be gone on with
            review.exclude(review.ids.tolist(), f"seen at attempt {attempt}")
            review.undo()
            done += 2
        with Review.open(results) as review:
            assert np.array_equal(review.labels, labels)
            pd.testing.assert_frame_equal(review.table, table)
    assert done > 40
