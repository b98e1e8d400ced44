"""Folders that are scored may hold other files beside the pictures: they are left out and named."""

from types import SimpleNamespace

import pytest
from badpictures import colourful

from app.commands import score
from evaluation import encoders
from evaluation.pictures import write_picture
from training.errors import BadInput


@pytest.fixture
def folder(tmp_path):
    for i in range(2):
        write_picture(colourful(seed=i), tmp_path / f"{i}.png", {"prompt": "a sks dog in the snow"})
    for name in ("IMG_0001.AAE", "IMG_0001.MOV", "a.npz"):
        (tmp_path / name).write_bytes(b"\0")
    return tmp_path


def test_the_real_pictures(folder, monkeypatch, capsys, tmp_path):
    seen = []
    monkeypatch.setattr(encoders, "load", lambda kind, ref, data: SimpleNamespace(ref=ref))
    monkeypatch.setattr("evaluation.subject.Judge", lambda dino, clip, real, others: seen.append(real))
    score.judge_of(folder, None, None, tmp_path)
    assert len(seen[0]) == 2
    assert "3 files, IMG_0001.AAE, IMG_0001.MOV, a.npz" in capsys.readouterr().err
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match="2.png cannot be read"):
        score.judge_of(folder, None, None, tmp_path)


def test_the_drawn_pictures(folder, capsys):
    class Judge:
        known, strangeness = True, 0.1

        def score(self, pictures, texts):
            assert texts == ["a dog in the snow"] * len(pictures)
            figures = {"dino": 0.5, "clip_i": 0.5, "clip_t": 0.2, "clean": 1.0, "pictures": len(pictures)}
            return SimpleNamespace(**figures, to_dict=lambda: figures)

        def self_similarity(self):
            return 1.0

    document = score.score_folder(folder, Judge(), "", "sks")
    assert document["pictures"] == 2 and document["files"] == ["0.png", "1.png"]
    assert "3 files, IMG_0001.AAE" in capsys.readouterr().err
