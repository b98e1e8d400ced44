"""The prompts of the model card's gates are what it says, and real renders show them."""

from evaluation.embedded_gates import render
from evaluation.gate_prompts import read
from training.pretrain.toyworld.world import pair_is_held_out


def test_gate_prompts_are_what_the_card_says():
    lists = read()
    assert len(lists["prompts"]) == 500
    assert len({(e["class_word"], e["place"]) for e in lists["prompts"]}) == 500
    assert not any(pair_is_held_out(e["class_word"], e["place"]) for e in lists["prompts"])
    assert all(pair_is_held_out(e["class_word"], e["place"]) for e in lists["held_out_pairs"])
    for entry in lists["prompts"]:
        assert entry["class_word"] in entry["prompt"] and (entry["colour"] or "") in entry["prompt"]


def test_renders_show_what_was_asked():
    entries = read()["prompts"][:6]
    for entry, picture in zip(entries, render(entries), strict=True):
        assert picture.image.shape == (128, 128, 3) and picture.place == entry["place"]
