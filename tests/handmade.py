"""Run folders written by hand: every state a page can meet, without a model, in milliseconds."""

import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from app.adapters.imported import ImportedAdapter
from evaluation.scorebook import ScoreBook
from evaluation.scores import Scores
from training import presets
from training.runs import rundir
from training.runs.run import Run

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
CAUSES = {  # what the training loop and app.work.outcome write
    "nan": (
        "The numbers broke down at step 9 (NaN), so training ended itself. The broken step was not saved. Step 8 is "
        "good and can be used.",
        "Usual causes: a learning rate too high, or half precision.",
    ),
    "memory": (
        "The computer ran out of memory and the system ended the training. Saved up to step 8.",
        "Close others.",
    ),
    "disk": ("The disk is full: /data could not be written.", "Free some space, then resume."),
    "error": ("ValueError: <boom>", "The whole report is in the run's log.txt."),
}


def run(data: Path, name: str = "Biscuit", method: str = "delora", **changes) -> Run:
    """A queued run of 16 steps that saves every 4, with two prompts, two seeds and three pictures."""
    small = {
        "class_word": "dog",
        "steps": 16,
        "save_every": 4,
        "sample": {"prompts": ("a {subject} in the snow", "a {subject}"), "seeds": (0, 7)},
    }
    spec = presets.make_spec("embedded", method, "quick", name=name, **presets.merged(small, changes))
    pictures = [data / f"picture-{i}.png" for i in range(3)]
    for i, picture in enumerate(pictures):
        picture.write_bytes(PNG + bytes([i]))
    return rundir.create(data, spec, pictures)


def put(run: Run, name: str, **changes) -> Run:
    """Write a state, whatever the state before."""
    state = run.state().model_copy(update={"name": name, "updated": time.time(), **changes})
    (run.path / "state.json").write_text(state.model_dump_json())
    return run


def live(run: Run, name: str = "running", phase: str = "train", **changes) -> Run:
    """Put the run into a state at work, alive two seconds ago."""
    return put(run, name, phase=phase, heartbeat=time.time() - 2, pid=1, pid_started=1.0, **changes)


def events(run: Run, *found: dict) -> None:
    """Append events as they are, with their own times."""
    with (run.path / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in found)


def step(number: int, **more) -> dict:
    """The event of a step that took half a second."""
    return {"kind": "step", "step": number, "loss": 1 / number, "lr": 0.01, "seconds": 0.5, "memory_mb": 900, **more}


def geometry(number: int, layers: int = 2, bound: float | None = 0.8) -> dict:
    """A measurement: layer 0 at 1/10 of the way a step, the others at half of that; limits and reaches alike."""
    reach = None if bound is None else bound / 4
    lambda_ = None if bound is None else 4.0
    made = {
        f"layer.{i}": {"distance": number / (160 if i else 80), "bound": bound, "reach": reach, "lambda": lambda_}
        for i in range(layers)
    }
    return {"kind": "geometry", "step": number, "layers": made}


def train(run: Run, steps: int, bound: float | None = 0.8) -> Run:
    """Events, saves and pictures of a training up to `steps`, the base model's pictures first."""
    draw(run, 0)
    events(run, {"kind": "phase", "phase": "train", "time": 100.0}, geometry(0, bound=bound))
    for number in range(1, steps + 1):
        events(run, step(number))
        if number % run.spec.save_every == 0:
            events(run, geometry(number, bound=bound), {"kind": "save", "step": number})
            save(run, number)
            draw(run, number)
    return put(run, run.state().name, step=steps, steps=run.spec.steps, saved_step=run.latest_checkpoint())


def save(run: Run, number: int) -> None:
    """A checkpoint's folder."""
    run.checkpoint(number).mkdir(parents=True)


def draw(run: Run, number: int) -> None:
    """The pictures of a step."""
    folder, sample = run.samples_folder(number), run.spec.sample
    folder.mkdir(parents=True)
    for prompt in range(len(sample.prompts)):
        for seed in range(len(sample.seeds)):
            (folder / f"{prompt:02d}-{seed:02d}.png").write_bytes(PNG)


def score(run: Run, saves: dict[int, tuple[float, ...]], judge: str = "toy", real: float | None = 0.8) -> Run:
    """scores.json; saves: step -> DINO, share of the base's hold on the place, and how clean (1 where it is not given).

    The base model's DINO is 0.4.
    """
    judges = {
        kind: {"ref": judge, "name": judge, "preprocessing": "resize", "sha256": judge} for kind in ("dino", "clip")
    }

    def scores(dino: float, share: float = 1.0, clean: float = 1.0) -> Scores:
        means = {"dino": dino, "clip_i": 0.5, "clip_t": 0.3, "place": 0.1 * share, "thing": 0.2, "clean": clean}
        per_image = {key: [value] * 4 for key, value in means.items()}
        return Scores(**means, dino_stderr=0.01, pictures=4, per_image=per_image, encoders=judges)

    sample = run.spec.sample
    book = ScoreBook(scores(0.4), real and {"dino": real, "clip_i": 0.9}, sample.prompts, sample.seeds, note="Toy.")
    for number, made in saves.items():
        book = book.with_save(number, scores(*made))
    run.write_scores(book.to_dict(run.spec.name))
    return run


def export(run: Run, number: int) -> Run:
    """The exported files and their record."""
    folder = run.path / "adapter"
    folder.mkdir()
    check = {"file": "", "unet_difference": 1e-6, "picture_difference": 3e-6, "checked": "2026-11-25T14:07:33+00:00"}
    files = [
        {"kind": "native", "name": "biscuit-delora-studio.safetensors", "error": 0.0, "check": None},
        {"kind": "kohya", "name": "biscuit.safetensors", "error": 1e-6, "check": check},
    ]
    for file in files:
        (folder / file["name"]).write_bytes(b"x" * 3_200_000)
    record = {"step": number, "trigger": run.spec.subject, "files": files}
    (folder / "export.json").write_text(json.dumps(record))
    return run


def finished(data: Path, name: str = "Biscuit", method: str = "delora", **changes) -> Run:
    """A run that is done: four saves, of which step 8 is recommended."""
    made = run(data, name, method, **changes)
    train(made, 16, None if method == "lora" else 0.8)
    score(made, {4: (0.5, 1.0), 8: (0.7, 0.97), 12: (0.705, 0.96), 16: (0.75, 0.7)})
    export(made, 8)
    return put(made, "done", step=16)


def failed(data: Path, cause: str) -> Run:
    """A run that failed at step 9 for a cause, with saves at 4 and 8."""
    made = train(run(data), 9)
    (made.path / "log.txt").write_text("Traceback (most recent call last):\nValueError: <boom>\n")
    message, remedy = CAUSES[cause]
    return put(made, "failed", cause=cause, message=message, remedy=remedy)


def imported(data: Path, name: str) -> ImportedAdapter:
    """An imported LoRA with the words "zwx cat", whose file is empty."""
    slug = name.lower().replace(" ", "-")
    made = ImportedAdapter(slug, name, "zwx cat", "embedded", "lora", 16, 4, "", f"{slug}.st", "", "2026-11-25T14:07")
    folder = data / "adapters" / slug
    folder.mkdir(parents=True)
    (folder / "adapter.json").write_text(json.dumps(asdict(made)))
    (folder / "adapter.safetensors").touch()
    return made


def table(html: str) -> ElementTree.Element:
    """The first table in HTML; fails where it is not well formed."""
    found = re.search(r"<table.*?</table>", html, re.S).group()
    return ElementTree.fromstring(re.sub(r"<(img|br)([^>]*)>", r"<\1\2/>", found))
