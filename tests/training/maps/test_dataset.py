"""The pairs of a run: split the same way each time, copied whole, and read back or refused by name."""

import mapfiles
import numpy as np
import pytest

from training.errors import BadInput
from training.maps import dataset, intake, pairs, reading, writing
from training.runs import rundir
from training.spec import parse

EDGE = 32


@pytest.fixture
def folders(tmp_path):
    """A run's two folders, of four pairs and of two."""
    made = {}
    for part, count in ((dataset.TRAINING, 4), (dataset.HELD_OUT, 2)):
        for i in range(count):
            for name in ("images", "annotations"):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
            mapfiles.picture((64, 48), i).save(tmp_path / part / "images" / f"{part}-{i}.png")
            writing.write(mapfiles.scene(), tmp_path / part / "annotations" / f"{part}-{i}.png", "index")
        made[part] = tmp_path / f"made-{part}"
        intake.prepare(intake.check(pairs.find(tmp_path / part).pairs), made[part], EDGE)
    return made


def test_a_run_of_maps_holds_its_pairs_and_reads_them_back(tmp_path, folders):
    run = rundir.create(tmp_path, parse({"task": "maps", "held_out": 2}), folders)
    assert [path.name for path in run.pictures()] == ["0000.png", "0001.png", "0002.png", "0003.png"]
    held = dataset.read(run.path, dataset.HELD_OUT)
    assert [example.name for example in held] == ["held-out-0.png", "held-out-1.png"]
    assert held[0].caption.startswith("a photo of")
    assert np.array_equal(reading.labels_of(held[0].map), reading.labels_of(folders["held-out"] / "0000.map.png"))
    again = rundir.create(tmp_path, run.spec, rundir.data_of(run))
    assert [e.name for e in dataset.read(again.path, dataset.TRAINING)] == [f"dataset-{i}.png" for i in range(4)]


def test_pairs_that_are_gone_or_damaged_are_told_by_file(tmp_path, folders):
    run = rundir.create(tmp_path, parse({"task": "maps", "held_out": 2}), folders)
    (run.path / "held-out" / "0001.map.png").unlink()
    with pytest.raises(BadInput, match="0001.map.png is gone"):
        dataset.read(run.path, dataset.HELD_OUT)
    (run.path / "dataset" / "pairs.jsonl").write_text('{"file_name": 3}\n')
    with pytest.raises(BadInput, match="pairs.jsonl, line 1, is damaged"):
        dataset.read(run.path, dataset.TRAINING)
    (run.path / "dataset" / "pairs.jsonl").unlink()
    with pytest.raises(BadInput, match="is missing"):
        dataset.read(run.path, dataset.TRAINING)


def test_a_split_is_even_whole_and_the_same_each_time():
    assert dataset.split(range(8), 2) == ([0, 1, 2, 4, 5, 6], [3, 7])
    for count in range(1, 9):
        train, held = dataset.split(range(9), count)
        assert sorted([*train, *held]) == list(range(9)) and len(held) == count
    assert [dataset.usual_held_out(n) for n in (3, 4, 64, 10_000)] == [0, 1, 16, 64]
