from __future__ import annotations

import pandas as pd

from biopsy_ai.measure.type_class import type_classes


def test_types_fall_into_two_classes_and_hybrids_into_neither() -> None:
    names = pd.Series(["I", "II", "IIA", "IIX", "IIA/IIX", "I/IIA", "undetermined", "", pd.NA])
    assert type_classes(names).tolist() == ["I", "II", "II", "II", "II", "", "", "", ""]
    assert type_classes([]).tolist() == []
