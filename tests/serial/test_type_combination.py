from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.serial.type_combination import combine_types


def section(**columns: list[float]) -> pd.DataFrame:
    """A table with posteriors, and the types that they name."""
    p = pd.DataFrame(columns)
    kinds = [name if name else "" for name in p.fillna(-1).idxmax(axis=1)]
    sure = p.max(axis=1) >= 0.8
    kinds = [kind if s else "undetermined" for kind, s in zip(kinds, sure, strict=True)]
    return p.add_prefix("p_").assign(type=kinds)


def test_one_section_keeps_its_posteriors() -> None:
    found = combine_types([section(I=[0.9, 0.3, 0.6, 0.2], II=[0.1, 0.7, 0.4, 0.8])])
    np.testing.assert_allclose(found["p_I"], [0.9, 0.3, 0.6, 0.2], atol=1e-9)
    assert found["type"].tolist() == ["I", "undetermined", "undetermined", "II"]
    assert found["type_i_posterior"].tolist() == pytest.approx([0.9, 0.3, 0.6, 0.2])
    assert found["types_agree"].isna().all()


def test_two_even_sections_multiply() -> None:
    p = [0.9, 0.1, 0.7, 0.3]
    found = combine_types([section(I=p, II=[1 - x for x in p])] * 2)
    # shares are even, so that the product of the posteriors is that of the odds
    expected = [x**2 / (x**2 + (1 - x) ** 2) for x in p]
    np.testing.assert_allclose(found["p_I"], expected, atol=1e-9)
    assert found["type"].tolist() == ["I", "II", "I", "II"]
    assert found["n_typed"].tolist() == [2, 2, 2, 2]


def test_shares_count_once() -> None:
    # posteriors that only repeat the shares say nothing, however many there are
    p = [0.2] * 5
    found = combine_types([section(I=p, II=[0.8] * 5)] * 4)
    np.testing.assert_allclose(found["p_I"], 0.2, atol=1e-9)


def test_subtypes_come_from_the_stain_that_tells_them() -> None:
    two = section(I=[0.99, 0.01, 0.01], II=[0.01, 0.99, 0.99])
    three = section(I=[0.5, 0.45, 0.02], IIA=[0.48, 0.53, 0.03], IIX=[0.02, 0.02, 0.95])
    found = combine_types([two, three])
    assert found["type"].tolist() == ["I", "IIA", "IIX"]
    assert "p_II" not in found
    np.testing.assert_allclose(found[["p_I", "p_IIA", "p_IIX"]].sum(axis=1), 1)


def test_what_one_stain_cannot_part_is_type_ii() -> None:
    two = section(I=[0.99, 0.02], II=[0.01, 0.98])
    three = section(I=[0.9, np.nan], IIA=[0.05, np.nan], IIX=[0.05, np.nan])
    found = combine_types([two, three])
    assert found["type"].tolist() == ["I", "II"]
    assert found["type_posterior"][1] > 0.8


def test_a_section_without_the_fiber_is_left_out() -> None:
    one = section(I=[0.95, 0.05], II=[0.05, 0.95])
    other = section(I=[np.nan, np.nan], II=[np.nan, np.nan]).assign(type="")
    found = combine_types([one, other])
    assert found["type"].tolist() == ["I", "II"]
    assert found["n_typed"].tolist() == [1, 1]


def test_contradictions_are_undetermined_and_told() -> None:
    one, other = pd.DataFrame({"type": ["I", "II"]}), pd.DataFrame({"type": ["II", "II"]})
    found = combine_types([one, other])
    assert found["types_agree"].tolist() == [False, True]
    assert found["type"][1] == "II"


def test_types_of_a_table_have_no_probabilities() -> None:
    found = combine_types([pd.DataFrame({"type": ["I", "IIA", "", "I/IIA"]})])
    assert found["type"].tolist() == ["I", "IIA", "", "I/IIA"]
    assert found["type_i_posterior"].tolist()[:2] == pytest.approx([1.0, 0.0], abs=0.01)
    assert found["type_i_posterior"][3] == pytest.approx(0.5, abs=0.01)
    assert np.isnan(found["type_i_posterior"][2])


def test_hybrids_of_one_stain_stay() -> None:
    two = section(I=[0.5, 0.98], II=[0.5, 0.02])
    three = section(I=[0.05, 0.97], IIA=[0.05, 0.02], **{"I/IIA": [0.9, 0.01]})
    assert combine_types([two, three])["type"].tolist() == ["I/IIA", "I"]


def test_no_types_at_all() -> None:
    found = combine_types([pd.DataFrame({"area_um2": [1.0, 2.0]})] * 2)
    assert found["type"].tolist() == ["", ""]
    looked = combine_types([pd.DataFrame({"type": ["undetermined", ""]})])
    assert looked["type"].tolist() == ["undetermined", ""]
