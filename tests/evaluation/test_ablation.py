"""The ablation study: a run a row, made once and then read, and the paper's figures only where they compare."""

import json

import pytest
import tinymaps
from typer.testing import CliRunner

from app.cli import cli
from evaluation import ablation, runscores
from evaluation.papertables import PAPER, VARIANTS
from training import loop
from training.errors import BadInput
from training.runs import rundir

TINY = {"steps": 2, "batch_size": 1, "threads": 1, "held_out": 2, "adapter": {"rank": 2}}
TINY["sample"] = {"steps": 1, "seeds": (0,)}


@pytest.fixture(scope="module")
def models(tiny_base, tmp_path_factory):
    return tinymaps.models(tmp_path_factory.mktemp("models"), tiny_base)


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_folder, models):
    """A study of two steps and two rows on the tiny base model."""
    folder = tmp_path_factory.mktemp("study")
    return ablation.Ablation(
        folder=folder / "out",
        models=folder,
        task="maps",
        methods=("lora", "delora"),
        base=str(tiny_folder),
        changes={**TINY, **models},
        pairs=tinymaps.pairs(folder / "pairs", 6),
    )


def test_rows_are_runs_of_the_same_pairs_that_are_made_once(study, monkeypatch):
    document, text = ablation.run(study)
    runs = {run.spec.adapter.method: run for run in rundir.list_runs(study.runs.data)}
    assert runs.keys() == {"lora", "delora"} and all(run.state().name == "done" for run in runs.values())
    for part in ("dataset", "held-out"):
        assert len({(run.path / part / "pairs.jsonl").read_text() for run in runs.values()}) == 1
    for method, run in runs.items():
        told, row = run.scores()["saves"]["2"], document["rows"][method]
        assert (row["headline"], row["gain"]) == (told["headline"], told["gain"]) and row["trained"] > 0
    assert document["rows"]["no adapter"]["headline"] == runs["lora"].scores()["base"]["headline"]
    assert (study.folder / "sheet.png").is_file() and (study.folder / "table.md").read_text() == text
    monkeypatch.setattr(loop, "train", lambda *a, **k: pytest.fail("trained again"))
    assert ablation.run(study)[0] == document


def test_the_papers_figures_stand_beside_only_a_study_made_as_the_papers(study):
    document = json.loads((study.folder / "table.json").read_text())
    assert document["comparable"] is False and "26.1" not in ablation.table(document)
    assert "UperNet-101" in ablation.table(document), "it says what the paper had"
    alike = {**document, "comparable": ablation.comparable("maps", PAPER["maps"])}
    assert "| 26.1 | 65.08 | 30.71 |" in ablation.table(alike)
    for key in PAPER["maps"]:
        assert not ablation.comparable("maps", {**PAPER["maps"], key: "other"})


def test_table_1_is_made_of_subjects(tmp_path, tiny_folder, judge_folders, monkeypatch):
    folders = str(judge_folders["dino"]), str(judge_folders["clip"])
    monkeypatch.setattr(runscores, "default_judges", lambda *_: folders)
    changes = {"steps": 1, "batch_size": 1, "class_pictures": 1, "class_steps": 1, "threads": 1}
    changes |= {"adapter": {"rank": 2}, "sample": {"steps": 1}}
    study = ablation.Ablation(
        tmp_path, tmp_path, "dreambooth", ("lora-normalised",), str(tiny_folder), "quick", changes, subjects=1
    )
    document, text = ablation.run(study)
    assert list(document["rows"]) == ["base, class word alone", "lora-normalised", "real pictures"]
    assert "| + normalise, boundary |" in text and "0.682" not in text


def test_the_rows_are_the_papers_and_an_unknown_method_is_told(tmp_path):
    assert set(ablation.rows_of("dreambooth")) == set(VARIANTS)
    assert set(VARIANTS) - set(ablation.rows_of("maps")) == {"ether-plus-high-rank"}
    with pytest.raises(BadInput, match="no method 'magic'"):
        ablation.Ablation(tmp_path, tmp_path, "maps", ("magic",))


def test_the_command_refuses_settings_of_maps_for_subjects(tmp_path):
    arguments = ["study", "ablation", "--task", "subject", "--protocol", "hint-encoder", "--data", str(tmp_path)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2 and "protocol is of --task maps" in done.stderr
