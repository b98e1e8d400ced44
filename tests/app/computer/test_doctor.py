"""`delora doctor` says what is there, and what to do about what is not."""

import json
import shutil
from pathlib import Path

import pytest

import assets
from app.computer import doctor
from training.base import guard


@pytest.fixture
def world(sd15_folder, tmp_path, monkeypatch):
    """An installation whose built-in model is the tiny one."""
    shutil.copytree(sd15_folder, tmp_path / "embedded" / "pipeline")
    (tmp_path / "embedded" / "world.json").write_text("{}")
    real = assets.path
    monkeypatch.setattr(
        assets, "path", lambda *parts: (tmp_path if parts[0] == "embedded" else real()).joinpath(*parts)
    )
    return tmp_path


def by_topic(data: Path) -> dict[str, list[doctor.Finding]]:
    findings: dict[str, list[doctor.Finding]] = {}
    for finding in doctor.examine(data):
        findings.setdefault(finding.topic, []).append(finding)
    return findings


def test_a_whole_installation_is_ready(world, tmp_path):
    found = by_topic(tmp_path / "data")
    assert not [f for findings in found.values() for f in findings if f.level == "bad"]
    assert {"Python", "Packages", "torchvision", "Device", "Memory", "Models", "Data folder"} <= set(found)
    assert "64 px" in found["Models"][0].words
    assert len(found["Models"]) == 1
    (downloads,) = found["Downloads"]
    assert all(name in downloads.words for name in ("sd15 (Stable Diffusion 1.5", "controlnet-seg", "segmentor"))
    json.dumps([f.to_dict() for findings in found.values() for f in findings])


def test_no_usable_base_model_is_bad_and_says_what_to_do(world, tmp_path):
    shutil.rmtree(tmp_path / "embedded")
    models = by_topic(tmp_path / "data")["Models"]
    assert any(f.level == "bad" and f.remedy for f in models)
    assert "built-in model is not in this installation" in models[0].words


def test_a_torchvision_left_aside_is_told_and_is_no_fault(world, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "prepare", lambda: ["The one installed is left aside: it is a wrong build."])
    (finding,) = by_topic(tmp_path / "data")["torchvision"]
    assert finding.level == "good" and "wrong build" in finding.words and not finding.remedy


def test_missing_and_old_packages_are_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "requires",
        lambda name: ["no-such-package>=1", "pillow>=999", "x>1; extra == 'test'"],
    )
    missing, old = by_topic(tmp_path)["Packages"]
    assert missing.level == "bad" and missing.remedy == "Run `pip install 'no-such-package>=1'`."
    assert old.level == "note" and "pillow" in old.words and "'pillow>=999'" in old.remedy


def test_a_data_folder_below_a_file_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    (finding,) = by_topic(tmp_path / "file" / "data")["Data folder"]
    assert finding.level == "bad" and "--data" in finding.remedy
