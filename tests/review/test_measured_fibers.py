"""What of a review rules can be learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn_reviews import upright

from biopsy_ai.config import TypeBorder
from biopsy_ai.corrections import Corrections
from biopsy_ai.measure.condition_signs import SIGNS
from biopsy_ai.patterns.type_border import moved_share
from biopsy_ai.review import Review
from biopsy_ai.review.measured_fibers import measured_fibers
from biopsy_ai.review.reviewed_section import ReviewedSection
from biopsy_ai.training.reviewed_fibers import read_measured


@pytest.fixture
def review(with_slide):
    with Review.open(with_slide, user="Ada") as review:
        yield review


def test_what_was_measured_and_said_goes_into_the_training_data(review, tmp_path):
    review.set_type([1], "IIA")
    review.set_condition([2], "necrotic")
    review.accept([3])
    review.set_condition([4], "split")
    review.exclude([4], "in a fold")
    review.export_training(tmp_path / "data", whole_section=False)
    table = read_measured(tmp_path / "data" / "section" / "measured.csv").set_index("label")
    assert table.index.tolist() == list(range(1, 13))
    assert table.index[table["reviewed"]].tolist() == [1, 2, 3]
    assert table.loc[1, ["type_before", "type"]].tolist() == ["", "IIA"]
    assert table.loc[[2, 3], "condition"].tolist()[0] == "necrotic"
    assert table.loc[3, "condition"] == table.loc[3, "condition_before"]
    signs = review.saved.signs.set_index("label")
    pd.testing.assert_frame_equal(table[list(SIGNS)], signs[list(SIGNS)].astype(float), rtol=1e-5)
    assert table["type_i_share"].isna().all(), "H&E tells no types"


def test_all_fibers_count_where_the_whole_section_was_reviewed(review, tmp_path):
    review.exclude([4], "in a fold")
    review.export_training(tmp_path / "data", whole_section=True)
    table = read_measured(tmp_path / "data" / "section" / "measured.csv")
    assert table.loc[~table["reviewed"], "label"].tolist() == [4]


def test_fibers_with_other_outlines_were_not_measured(results):
    with Review.open(results, user="Ada") as review:
        review.split(1, upright(1))
        review.delete([2])
        section = ReviewedSection(
            review.saved, review.labels, review.ids, review.boxes, review.corrections()
        )
        table = measured_fibers(section, whole_section=True)
    assert table["label"].tolist() == list(range(3, 31))
    assert "eosin_z" not in table, "outlines alone have no stain"


def test_posteriors_are_those_before_the_border_was_moved(review):
    saved = review.saved
    n = len(saved.fibers)
    share = np.linspace(0.01, 0.99, n)
    border = TypeBorder(slope=0.7, offset=1.0)
    moved = 0.9 * moved_share(share, border)
    fibers = saved.fibers.assign(p_I=moved, p_II=0.9 - moved, p_undetermined=0.1)
    rules = saved.config.rules.model_copy(update={"types": {"atpase:9.4": border}})
    typing = {"stain": "atpase:9.4", "source": "mixture"}
    saved = replace(
        saved,
        fibers=fibers,
        config=saved.config.model_copy(update={"rules": rules}),
        summary={**saved.summary, "types": {"typing": typing}},
    )
    section = ReviewedSection(saved, saved.labels, review.ids, review.boxes, Corrections())
    table = measured_fibers(section, whole_section=True)
    np.testing.assert_allclose(table["type_i_share"], share)
    np.testing.assert_allclose(table["neither_share"], 0.1)
    assert (table["stain"] == "atpase:9.4").all()
    typing["source"] = "table"
    assert measured_fibers(section, whole_section=True)["type_i_share"].isna().all()
