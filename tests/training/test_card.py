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
