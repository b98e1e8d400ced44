"""The page "This computer": models by what they are for, and no button that frightens without a reason."""

from dataclasses import replace

from app.web.parts import machine
from training.base import catalog, models


def rows(data):
    return {row["name"]: row for row in machine.model_rows(data)}


def test_a_model_that_nothing_uses_is_not_offered(tmp_path, monkeypatch):
    assert list(rows(tmp_path)) == ["embedded", "sd15", "dino", "clip", "controlnet-seg", "segmentor"]
    monkeypatch.setitem(catalog.CATALOG, "clip", replace(catalog.CATALOG["clip"], purpose=""))
    assert "clip" not in rows(tmp_path)
    catalog.incoming(tmp_path, "clip").mkdir(parents=True)  # so that it can be deleted
    left = rows(tmp_path)["clip"]
    assert left["words"].startswith("Nothing here uses it yet.") and left["actions"] == ["resume", "remove"]


def test_every_model_says_what_it_is_for(tmp_path):
    html = machine.model_list(machine.model_rows(tmp_path))
    for words in ("Draws toy-like pictures", "Draws photographs", "(likeness)", "follow the prompt"):
        assert words in html
    assert "delora models" not in html


def test_a_model_of_ones_own_is_taken_off_the_list_and_its_files_are_said_to_stay(tmp_path, sd15_folder):
    catalog.set_added(tmp_path, {"mine": str(sd15_folder)})
    html = machine.model_list([rows(tmp_path)["mine"]])
    assert ">Take off the list<" in html and "Its files stay where they are." in html
    assert str(sd15_folder) in html and "Delete" not in html
    catalog.home(tmp_path, "dino").mkdir(parents=True)
    html = machine.model_list([rows(tmp_path)["dino"]])
    assert ">Delete<" in html and "from this computer? It can be downloaded again." in html


def test_the_checklist_repeats_nothing_of_the_list_above_it(tmp_path):
    found = [
        {"topic": "Models", "level": "good", "words": "embedded", "remedy": ""},
        {"topic": "Downloads", "level": "good", "words": "sd15", "remedy": "Get one with `delora models get NAME`."},
        {"topic": "Models", "level": "bad", "words": "No base model that can be used.", "remedy": "Install again."},
    ]
    html = machine.findings(found, False)
    assert html.count("<li>") == 1 and "No base model" in html and "delora models" not in html


def test_the_words_of_a_model_hold_its_sizes(tmp_path):
    (toy,) = models.installed(tmp_path)
    assert toy.words == f"Toy model (built in), {toy.sizes}"
    assert rows(tmp_path)["embedded"]["words"].endswith(toy.sizes)
