from biopsy_ai.training.card import END_MARK, START_MARK, TABLE_MARK, model_card

SPEC = {
    "name": "mine",
    "version": "2",
    "training": {"steps": 10, "batch": 2, "crop_px": 64, "sections": 5},
    "trained_on": [{"image": "a", "license": "MIT"}],
    "outlines": [{"file": "b.tif", "license": None}],
    "start": None,
}


def test_a_fresh_card_has_limits_that_nobody_looked_at():
    card = model_card(SPEC)
    assert card.startswith(START_MARK)
    by_hand = card.split(END_MARK)[1]
    assert TABLE_MARK in by_hand
    assert "Nothing was looked at yet" in by_hand.split("## Limits")[1]
    assert "Thresholds were not tuned yet" in card
    assert "outlines of b.tif, for some synthetic sections (license not stated)" in card
    assert "Licenses: MIT (1), not stated (1)." in card


def test_a_card_without_marks_is_kept_whole():
    old = "# mine 1\n\nMisses fat cells.\n"
    card = model_card(SPEC, old)
    assert card.startswith(START_MARK)
    assert card.endswith(old)
    assert "Nothing was looked at yet" not in card
    assert model_card(SPEC | {"version": "3"}, card) == card.replace("mine 2", "mine 3")


def test_a_mark_that_is_not_closed_loses_nothing():
    old = f"Before {START_MARK} after\n"
    assert model_card(SPEC, old).endswith(old)


def test_rules_that_were_learned_are_told():
    assert "## Rules" not in model_card(SPEC)
    scores = {"precision": 0.5, "recall": None, "f1": 0.25, "log_loss": 0.4}
    held_out = {"judged_by": "f1", "n_yes": 9, "n_fibers": 80, "n_groups": 2}
    rule = {
        "name": "split",
        "n_fibers": 300,
        "n_yes": 12,
        "taken": False,
        "reason": "It is no better there.",
        "numbers": {"cleft_share_above": {"old": 0.25, "new": 0.2}},
        "held_out": held_out | {"old": scores, "new": scores},
    }
    rules = {
        "limits": {},
        "types": {},
        "source": "",
        "n_fibers": 400,
        "n_slides": 3,
        "n_corrected": 40,
        "refitted": [rule, {**rule, "name": "sdh", "held_out": None}],
        "learned_from": [{"image": "a|b"}],
        "held_out": [],
    }
    card = model_card(SPEC | {"rules": rules})
    assert "Refitted to 400 reviewed fibers of 3 slides, 40 of them corrected" in card
    assert "held out: none. Learned from: a/b." in card
    assert "| split | cleft_share_above 0.25 → 0.2 | 12 of 300 | 9 of 80, 2 slides | " in card
    assert "| 0.500 → 0.500 | – → – | 0.250 → 0.250 | 0.400 → 0.400 | no |" in card
    assert "- types in sdh: It is no better there." in card
    assert "No rule was taken over" in card
    in_force = {"limits": {"pale_z": 1.5}, "types": {"sdh": {"slope": 0.8, "offset": -1.0}}}
    card = model_card(SPEC | {"rules": rules | in_force | {"source": "refitted"}})
    assert "In force: `pale_z` 1.5, types in sdh: slope 0.8, offset -1 (refitted)." in card


def test_a_start_of_unknown_origin_is_told():
    first = {"name": "old", "version": "1", "weights_sha256": "ab" * 32}
    card = model_card(SPEC | {"start": first})
    assert "Training began from the weights of old 1 (SHA-256 abababababab…)" in card
    assert "an unknown number of synthetic sections" in card
    assert "What the training of old 1 began from was not recorded." in card


def test_images_of_one_folder_stand_together():
    few = [{"image": f"he/{i}", "license": "MIT"} for i in range(2)]
    many = [{"image": f"nuclei/{i}", "license": "CC0"} for i in range(30)]
    card = model_card(SPEC | {"trained_on": [*few, *many, {"image": "a", "license": "MIT"}]})
    assert "- he: 0, 1 (MIT)" in card
    assert "- nuclei: 30 images, named in model.yaml (CC0)" in card
    assert "- a (MIT)" in card
    assert "Licenses: " in card
    assert "CC0 (30)" in card
