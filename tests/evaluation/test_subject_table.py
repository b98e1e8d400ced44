"""The study of held-out subjects: runs that are resumed and not repeated, and a table that says what was measured."""

from dataclasses import replace

import pytest

from evaluation import preset_sweep, prompts, runscores, samplesubjects
from evaluation.subject_table import Study, means, measure, table
from training import loop


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_folder):
    """A study of two steps on the tiny base model."""
    tiny = {"steps": 2, "batch_size": 1, "class_pictures": 2, "class_steps": 1, "threads": 1, "adapter": {"rank": 2}}
    tiny["sample"] = {"steps": 2}
    folder = tmp_path_factory.mktemp("study")
    return Study(folder, str(tiny_folder), ("lora", "delora"), "quick", tiny)


@pytest.fixture(autouse=True)
def tiny_judges(judge_folders, monkeypatch):
    """The tiny judges in the place of the embedded ones."""
    folders = str(judge_folders["dino"]), str(judge_folders["clip"])
    monkeypatch.setattr(runscores, "default_judges", lambda *_: folders)


@pytest.fixture(scope="module")
def poodle():
    """A sample subject, by its shipped pictures."""
    return samplesubjects.sample_subject("poodle")


def test_prompts_name_places_that_the_subjects_pictures_do_not_show(poodle):
    places = samplesubjects.unseen_places(poodle)
    assert len(places) == 4 and not set(places) & set(poodle.places)
    assert samplesubjects.unseen_prompts(poodle)[0].endswith(prompts.places()[places[0]])


def test_a_subject_is_measured_once_and_read_afterwards(study, poodle, tiny_base, monkeypatch):
    entry = measure(study, poodle, tiny_base)
    assert set(entry["methods"]) == {"lora", "delora"}
    assert (study.folder / "sheets" / "poodle.png").is_file()
    runs = {method: study.run_of(poodle, method) for method in study.methods}
    for method, run in runs.items():
        assert run.state().name == "done" and run.spec.adapter.method == method
        assert run.checkpoints() == [2] and len(run.samples(2)) == 16
        assert entry["methods"][method]["dino"] == run.scores()["saves"]["2"]["dino"]
    monkeypatch.setattr(loop, "train", lambda *a, **k: pytest.fail("trained again"))
    assert measure(study, poodle, tiny_base) == entry


def test_a_sweep_makes_a_run_a_setting_and_shows_the_means_along_its_saves(study, poodle, tiny_base):
    curves = {}
    for rate in (1e-4, 1e-3):
        changes = {**study.changes, "steps": 4, "learning_rate": rate}
        swept = replace(study, changes=changes, label=f"{rate:g}", saves=2)
        curves[rate] = preset_sweep.curve(swept, poodle, "lora", tiny_base)
        run = swept.run_of(poodle, "lora")
        assert (run.spec.learning_rate, run.checkpoints()) == (rate, [2, 4])
        assert curves[rate][4]["likeness"] == run.scores()["saves"]["4"]["figures"]["likeness"]
    other = {step: {"likeness": 10.0, "follows": 50.0, "clean": 90.0} for step in (2, 4)}
    mean = (curves[1e-3][4]["likeness"] + 10) / 2
    last = preset_sweep.rows("lora", 1e-3, [curves[1e-3], other])[-1]
    assert last.startswith(f"| lora | 0.001 | 4 | {mean:.0f} % |")


def made(name, base, lora, delora, real):
    """An entry with these DINO figures; LoRA's prompts are followed at 60 %, DeLoRA's at 90 %."""

    def part(dino, **figures):
        return {"dino": dino, "clip_i": 0.5, "clip_t": 0.3, **figures}

    def figures(dino, follows):
        return {"likeness": 100 * (dino - base) / (real - base), "follows": follows, "clean": 97.0}

    methods = {"lora": part(lora, **figures(lora, 60.0)), "delora": part(delora, **figures(delora, 90.0))}
    return {
        "subject": name,
        "base": part(base, **figures(base, 100.0)),
        "methods": methods,
        "real": {"dino": real, "clip_i": 0.9, "likeness": 100.0},
    }


def test_the_table_has_every_row_the_means_and_what_was_asked_for():
    entries = [made("poodle", 0.4, 0.5, 0.7, 0.8), made("jeep", 0.2, 0.45, 0.51, 0.8)]
    text = table(entries, ("lora", "delora"))
    assert "| poodle | delora | 0.700 | 0.500 | 0.300 | 75 % | 90 % | 97 % |" in text
    assert "| jeep | real pictures | 0.800 | 0.900 |  | 100 % |  |  |" in text
    assert "| **mean** | base, class word alone | 0.300 |" in text
    assert "\nlora: at least half of the way from the base to the real pictures in 0 of 2 subjects" in text
    assert "\ndelora: at least half of the way from the base to the real pictures in 2 of 2 subjects" in text
    asked = "likeness 25 %, follows the prompt 75 %, clean picture 80 %"
    assert f"all that is asked of a recommended save ({asked}) in 2." in text.splitlines()[-1]
    assert text.splitlines()[-2].endswith("in 0.")
    assert means(entries, ("lora",))["methods"]["lora"]["likeness"] == pytest.approx(100 * (1 / 4 + 5 / 12) / 2)
