import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.condition import (
    CONDITIONS,
    FLAGS,
    IN_ARTEFACT,
    condition_probabilities,
    exclusion_reasons,
    flag_conditions,
    flags_and_signs,
)
from biopsy_ai.measure.condition_signs import OF_FIBER, OF_STAIN, robust_z
from biopsy_ai.measure.reference import Limits

N = 100


@pytest.fixture
def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A section of 100 healthy fibers: the table, the interiors, the nuclei."""
    rng = np.random.default_rng(2)
    label = np.arange(1, N + 1)
    fibers = pd.DataFrame(
        {
            "label": label,
            "min_feret_um": rng.normal(50, 3, N),
            "max_feret_um": 60.0,
            "orientation_deg": rng.uniform(-90, 90, N),
            "circularity": 0.8,
            "touches_border": False,
            "touches_tissue_edge": pd.array([pd.NA] * N, dtype="boolean"),
            "excluded": "",
        }
    )
    interior = pd.DataFrame(
        {
            "label": label,
            "density": 0.5,
            "hematoxylin": rng.normal(0.05, 0.005, N),
            "eosin": rng.normal(0.4, 0.02, N),
            "unevenness": rng.normal(0.1, 0.01, N),
            "clear_share": 0.0,
            "holes_per_1000_um2": 0.0,
            "dust_share": 0.0,
            "cleft_share": 0.05,
            "artefact_share": 0.0,
            "artefact_beside": 0.0,
            "glass_share": 0.0,
        }
    )
    counts = pd.DataFrame({"label": label, "n_internal_nuclei": np.zeros(N, int)})
    counts["n_internal_nuclei"] = counts["n_internal_nuclei"].astype("Int64")
    return fibers, interior, counts


def test_healthy_fibers_are_normal(tables):
    flags = flag_conditions(*tables)
    assert list(flags.columns) == ["label", *FLAGS, "condition", "condition_reason"]
    assert (flags[list(FLAGS)] < 0.5).all().all()
    assert (flags["condition"] == "normal").all()
    assert (flags["condition_reason"] == "").all()
    assert (exclusion_reasons(flags) == "").all()


@pytest.mark.parametrize(
    ("condition", "interior_values", "nuclei", "shape"),
    [
        ("necrotic", {"eosin": 0.25}, 4, {}),
        ("necrotic", {"unevenness": 0.3}, 3, {}),
        ("regenerating", {"hematoxylin": 0.12}, 1, {"min_feret_um": 35.0}),
        ("hypercontracted", {"eosin": 0.6}, 0, {"circularity": 0.95}),
        ("split", {"cleft_share": 0.5}, 0, {}),
        ("vacuolated", {"clear_share": 0.12}, 0, {}),
    ],
)
def test_each_condition_is_flagged_with_its_reason(
    tables, condition, interior_values, nuclei, shape
):
    fibers, interior, counts = tables
    interior.loc[7, list(interior_values)] = list(interior_values.values())
    counts.loc[7, "n_internal_nuclei"] = nuclei
    for name, measured in shape.items():
        fibers.loc[7, name] = measured
    flags = flag_conditions(fibers, interior, counts)
    assert flags.loc[7, "condition"] == condition
    assert flags.loc[7, condition] > 0.5
    assert flags.loc[7, "condition_reason"].startswith(f"{condition}: ")
    assert (flags.drop(index=7)["condition"] == "normal").all()
    assert exclusion_reasons(flags)[7] == "", "a sick fiber stays in the statistics"


def test_one_sign_alone_is_not_enough(tables):
    fibers, interior, counts = tables
    interior.loc[0, "eosin"] = 0.2  # pale, without nuclei inside
    counts.loc[1, "n_internal_nuclei"] = 5  # nuclei inside, not pale
    interior.loc[2, "eosin"] = 0.6  # dark and angular
    interior.loc[3, "hematoxylin"] = 0.12  # basophilic and huge
    fibers.loc[3, "min_feret_um"] = 120
    interior.loc[4, "hematoxylin"] = 0.12  # basophilic, without nuclei inside
    interior.loc[5, ["eosin", "hematoxylin"]] = [0.2, 0.12]  # basophilic: not necrotic
    interior.loc[6, ["unevenness", "hematoxylin"]] = [0.3, 0.12]  # and without texture: it is
    counts.loc[[3, 5, 6], "n_internal_nuclei"] = 5
    flags = flag_conditions(fibers, interior, counts)
    assert flags["condition"].tolist()[:7] == ["normal"] * 5 + ["regenerating", "necrotic"]


def test_probability_is_a_half_at_the_limit_and_grows(tables):
    fibers, interior, counts = tables
    interior.loc[:3, "cleft_share"] = [0.2, 0.25, 0.3, 0.5]
    split = flag_conditions(fibers, interior, counts)["split"]
    assert split[1] == pytest.approx(0.5)
    assert split[0] < split[1] < split[2] < split[3] <= 1


def test_the_limits_of_the_user_decide(tables):
    fibers, interior, counts = tables
    interior.loc[0, "cleft_share"] = 0.3
    interior.loc[1, "eosin"] = 0.25
    counts.loc[1, "n_internal_nuclei"] = 4
    interior.loc[2, "glass_share"] = 0.2
    assert flag_conditions(*tables)["condition"].tolist()[:2] == ["split", "necrotic"]
    limits = Limits(
        {"cleft_share_above": 0.4, "necrotic_min_nuclei": 6.0, "glass_share_above": 0.3}
    )
    flags = flag_conditions(*tables, limits=limits)
    assert flags["condition"].tolist()[:2] == ["normal", "normal"]
    assert flags["edge"][2] < 0.5
    strict = flag_conditions(*tables, limits=Limits({"size_normal_min_fibers": N + 1.0}))
    assert strict["hypercontracted"].isna().all(), "now a hundred fibers are no reference"


def test_holes_in_many_fibers_are_ice_crystals(tables):
    fibers, interior, counts = tables
    interior.loc[:29, "clear_share"] = 0.15
    flags = flag_conditions(fibers, interior, counts)
    assert not (flags["vacuolated"] >= 0.5).any()
    assert (flags.loc[:29, "artefact"] >= 0.5).all()
    assert "ice-crystal" in flags.loc[0, "condition_reason"]
    assert exclusion_reasons(flags)[0] == IN_ARTEFACT


def test_small_holes_in_some_fibers_are_ice_crystals_too(tables):
    fibers, interior, counts = tables
    interior.loc[:14, ["clear_share", "holes_per_1000_um2"]] = [0.15, 12.0]
    interior.loc[15, ["clear_share", "holes_per_1000_um2"]] = [0.15, 2.0]
    flags = flag_conditions(fibers, interior, counts)
    assert (flags.loc[:14, "artefact"] >= 0.5).all()
    assert flags.loc[15, "condition"] == "vacuolated", "few large ones among them"
    rare = flag_conditions(*(table.drop(index=range(6)) for table in tables))
    assert (rare["condition"] == "vacuolated").sum() == 10, "in 9 of 94 fibers, and one more"


def test_the_clear_specks_of_a_necrotic_fiber_are_neither_vacuoles_nor_ice(tables):
    fibers, interior, counts = tables
    interior.loc[:9, ["clear_share", "holes_per_1000_um2", "unevenness"]] = [0.1, 12.0, 0.3]
    counts.loc[:9, "n_internal_nuclei"] = 6
    flags = flag_conditions(fibers, interior, counts)
    assert (flags.loc[:9, "condition"] == "necrotic").all()
    assert not (flags["artefact"] >= 0.5).any()


def test_of_holes_only_many_are_judged_where_mitochondria_are_stained(tables):
    fibers, interior, counts = tables
    interior.loc[:29, ["clear_share", "holes_per_1000_um2"]] = [0.15, 2.0]
    interior.loc[40, "artefact_share"] = 0.3
    flags = flag_conditions(fibers, interior, counts, stain="sdh")
    assert flags["vacuolated"].isna().all(), "pale cores and zones"
    assert np.flatnonzero(flags["artefact"] >= 0.5).tolist() == [40]
    interior.loc[:14, "holes_per_1000_um2"] = 12.0
    flags = flag_conditions(fibers, interior, counts, stain="sdh")
    assert np.flatnonzero(flags["artefact"] >= 0.5).tolist() == [*range(15), 40]
    assert flags["vacuolated"].isna().all()


def test_dust_and_what_hides_a_part_of_a_fiber_are_artefacts(tables):
    fibers, interior, counts = tables
    interior.loc[0, "dust_share"] = 0.06
    interior.loc[1, "artefact_beside"] = 0.25
    flags = flag_conditions(fibers, interior, counts)
    assert (flags["artefact"] >= 0.5).tolist() == [True, True] + [False] * (N - 2)
    assert flags.loc[0, "condition_reason"] == "artefact: dust on 6 % of it"
    assert flags.loc[1, "condition_reason"] == "artefact: an artefact along 25 % of it"


def test_artefacts_are_reasons_of_exclusion_and_edges_are_not(tables):
    fibers, interior, counts = tables
    interior.loc[0, "artefact_share"] = 0.3
    interior.loc[1, "glass_share"] = 0.4
    fibers.loc[2, "touches_border"] = True
    fibers.loc[3, "touches_tissue_edge"] = True
    flags = flag_conditions(fibers, interior, counts)
    assert exclusion_reasons(flags)[:5].tolist() == [
        IN_ARTEFACT,
        "",
        "",
        "",
        "",
    ], "fibers at the edge stay in"
    assert flags.loc[[1, 3], "edge"].min() >= 0.5
    assert "30 % of it in an artefact" in flags.loc[0, "condition_reason"]
    assert flags.loc[2, "edge"] == 1


def test_the_stain_of_a_fold_says_nothing(tables):
    fibers, interior, counts = tables
    fibers["circularity"] = 0.95
    interior.loc[:9, ["artefact_share", "eosin"]] = [1.0, 0.8]
    interior.loc[10, "eosin"] = 0.6
    flags = flag_conditions(fibers, interior, counts)
    assert flags.loc[:9, "hypercontracted"].isna().all()
    assert (flags.loc[:9, "condition"] == "normal").all(), "not split, as far as can be seen"
    assert flags.loc[10, "condition"] == "hypercontracted"


def test_oblique_fibers_follow_their_fascicle(tables):
    fibers, interior, counts = tables
    fascicle = np.repeat([1, 2], N // 2)
    one = fascicle == 1
    fibers.loc[one, "max_feret_um"] = 1.9 * fibers.loc[one, "min_feret_um"]
    fibers.loc[one, "orientation_deg"] = 20.0
    fibers.loc[N - 1, "max_feret_um"] = 120.0  # long by itself, in a fascicle cut across
    fibers.loc[0, "max_feret_um"] = 1.1 * fibers.loc[0, "min_feret_um"]  # as it were short
    flags = flag_conditions(fibers, interior, counts, fascicle)
    assert (flags.loc[one, "oblique"] >= 0.5).all()
    assert not (flags.loc[~one, "oblique"] >= 0.5).any()
    assert (exclusion_reasons(flags) == "").all(), "min Feret is still good"


def test_fibers_of_small_fascicles_follow_the_section(tables):
    fibers, interior, counts = tables
    fibers["max_feret_um"] = 1.9 * fibers["min_feret_um"]
    fibers["orientation_deg"] = 20.0
    fascicle = np.where(np.arange(N) < 5, 1, 2)
    flags = flag_conditions(fibers, interior, counts, fascicle)
    assert (flags["oblique"] >= 0.5).all()


def test_what_was_not_measured_is_unknown(tables):
    fibers, interior, counts = tables
    flags = flag_conditions(fibers)
    assert flags[list(CONDITIONS)].isna().all().all()
    assert (flags["condition"] == "").all()
    assert flags["edge"].notna().all()
    without_nuclei = flag_conditions(fibers, interior)
    assert without_nuclei["necrotic"].isna().all()
    assert without_nuclei["split"].notna().all()
    few = flag_conditions(*(table[:10] for table in tables))
    assert few["hypercontracted"].isna().all(), "ten fibers are no reference"
    none = flag_conditions(*(table[:0] for table in tables))
    assert len(none) == 0


def test_flags_can_be_told_again_by_their_signs(tables):
    fibers, interior, counts = tables
    interior.loc[:2, ["eosin", "clear_share", "cleft_share"]] = [0.25, 0.1, 0.3]
    counts.loc[:2, "n_internal_nuclei"] = 4
    interior.loc[2, "artefact_share"] = 0.5
    fibers.loc[3, "excluded"] = "cut by the image border"
    flags, signs = flags_and_signs(fibers, interior, counts)
    pd.testing.assert_frame_equal(flags, flag_conditions(fibers, interior, counts))
    assert list(signs.columns) == ["label", "is_counted", *OF_FIBER, "in_artefact", *OF_STAIN]
    assert signs.index[signs["in_artefact"]].tolist() == [2]
    assert signs.index[~signs["is_counted"]].tolist() == [3]
    assert signs["eosin_z"][0] < -5
    again = condition_probabilities(signs)
    pd.testing.assert_frame_equal(again, flags[list(CONDITIONS)])
    strict = Limits({"cleft_share_above": 0.4, "pale_z": 20.0, "uneven_z": 20.0})
    expected = flag_conditions(fibers, interior, counts, limits=strict)[list(CONDITIONS)]
    pd.testing.assert_frame_equal(condition_probabilities(signs, strict), expected)


def test_signs_of_a_stain_without_holes_are_unknown(tables):
    _, signs = flags_and_signs(*tables, stain="nadh")
    assert signs[["clear_share", "holes_per_1000_um2"]].isna().all().all()
    assert signs["cleft_share"].notna().all()
    _, signs = flags_and_signs(tables[0])
    assert signs[list(OF_STAIN)].isna().all().all()
    assert signs["circularity"].notna().all()


def test_robust_z():
    values = np.concatenate([np.linspace(-1, 1, 41), [50.0]])
    z = robust_z(values, np.ones(42, bool))
    assert z[20] == pytest.approx(0, abs=0.05)
    assert z[-1] > 50
    assert np.isnan(robust_z(np.ones(42), np.ones(42, bool))).all()


def test_tables_of_other_fibers_are_an_error(tables):
    fibers, interior, counts = tables
    with pytest.raises(ValueError, match="same fibers"):
        flag_conditions(fibers, interior[::-1], counts)
