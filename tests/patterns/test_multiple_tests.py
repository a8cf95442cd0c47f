import numpy as np
import pytest

from biopsy_ai.patterns.multiple_tests import benjamini_hochberg, holm


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_benjamini_hochberg_steps_up():
    found = benjamini_hochberg([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert len(benjamini_hochberg(np.array([]))) == 0
    assert benjamini_hochberg([0.2]) == pytest.approx([0.2])
