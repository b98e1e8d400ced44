"""Run folders of maps written by hand, without a model."""

import json
from pathlib import Path

import handmade
import mapfiles
import numpy as np
from PIL import Image

from training import presets
from training.maps import writing
from training.runs import rundir
from training.runs.run import Run


def run(data: Path, name: str = "Beaches", held_out: int = 3, **changes) -> Run:
    """A queued run of 16 steps that saves every 4, with two pairs to learn from and `held_out` to judge by."""
    small = {"steps": 16, "save_every": 4, "held_out": held_out, "sample": {"seeds": (0,)}, "task": "maps"}
    spec = presets.make_spec("embedded", "delora", "quick", name=name, **presets.merged(small, changes))
    folders = {part: data / f"made-{name}" / part for part in ("dataset", "held-out")}
    for folder, count in zip(folders.values(), (2, held_out), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for i in range(count):
            mapfiles.picture((48, 48), seed=i).save(folder / f"{i:04d}.png")
            writing.write(mapfiles.scene(48, 48), folder / f"{i:04d}.map.png", "index")
            row = {"file_name": f"{i:04d}.png", "text": f"a beach at {i} o'clock", "picture": f"beach {i}.jpg"}
            rows.append(json.dumps(row) + "\n")
        (folder / "pairs.jsonl").write_text("".join(rows))
    return rundir.create(data, spec, folders)


def draw(made: Run, step: int) -> None:
    """The pictures of a step."""
    folder = made.samples_folder(step)
    folder.mkdir(parents=True)
    for place in range(made.spec.held_out):
        for seed in range(len(made.spec.sample.seeds)):
            Image.new("RGB", (48, 48), (40 * place, 10 * step, 99)).save(folder / f"{place:04d}-{seed:02d}.png")


def train(made: Run, steps: int) -> Run:
    """Events, saves and pictures of a training up to `steps`, the base's pictures first."""
    draw(made, 0)
    handmade.events(made, {"kind": "phase", "phase": "train", "time": 100.0}, handmade.geometry(0))
    for number in range(1, steps + 1):
        handmade.events(made, handmade.step(number))
        if number % made.spec.save_every == 0:
            handmade.events(made, handmade.geometry(number), {"kind": "save", "step": number})
            handmade.save(made, number)
            draw(made, number)
    return handmade.put(made, made.state().name, step=steps, steps=made.spec.steps, saved_step=steps)


def book(made: Run, saves: dict[int, float], base: float = 0.2, real: float = 0.9):
    """Scores in which so large a share of every class is right; saves: step -> share."""
    from evaluation.maps.agreement import Agreement
    from evaluation.maps.book import MapBook, note

    truth = mapfiles.scene(48, 48)

    def right(share: float) -> Agreement:
        found = Agreement()
        for place in range(made.spec.held_out):
            for seed in range(len(made.spec.sample.seeds)):
                guess = np.where(np.arange(48 * 48).reshape(48, 48) % 100 < 100 * share, truth, 3)
                found.add(f"{place:04d}", guess.astype(np.uint8), truth, seed)
        return found

    judge = {"ref": "embedded", "name": "toy", "preprocessing": "none", "fingerprint": "1"}
    told = note("toy", made.spec.held_out)
    made_book = MapBook(judge, right(real), right(base), made.spec.protocol, made.spec.sample.seeds, note=told)
    for step, share in saves.items():
        made_book = made_book.with_save(step, right(share))
    return made_book


def finished(data: Path, name: str = "Beaches", **changes) -> Run:
    """A run that is done: four saves, of which step 12 follows its maps best."""
    made = train(run(data, name, **changes), 16)
    made.write_scores(book(made, {4: 0.3, 8: 0.5, 12: 0.7, 16: 0.6}).to_dict())
    return handmade.put(handmade.export(made, 12), "done", step=16)
