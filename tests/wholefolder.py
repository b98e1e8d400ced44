"""A data folder with something of every kind in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import draftforms
import handmade
import numpy as np

from app import control
from app.comparisons import comparison
from app.comparisons.plan import Column
from app.computer import downloads
from app.drafts import draft
from app.orders import drawings, exports, importing
from app.orders.request import parse_request
from app.web.studio import Studio
from app.work import devices, presence, workerfile
from training.base import catalog
from training.runs.run import Run


def build(data: Path) -> Run:
    """A data folder with something of every kind; returns its finished run. A second run waits in the queue."""
    from safetensors.numpy import save_file

    run = handmade.finished(data)
    run.rename("Old Biscuit")
    handmade.events(run, {"kind": "note", "words": "Read."}, {"kind": "phase", "phase": "export", "time": 200.0})
    (run.path / "log.txt").write_text("log\n")
    (run.path / "adapter" / "made.json").write_text(
        json.dumps({"files": [{"kind": "peft", "name": "biscuit-peft.zip", "step": 8, "error": 0.0, "check": None}]})
    )
    (run.path / "adapter" / "biscuit-peft.zip").write_bytes(b"zip")
    for step in run.checkpoints():
        save_file({"x": np.zeros(2, np.float32)}, run.checkpoint(step) / "adapter.safetensors")
    waiting = handmade.run(data, "Rex")
    handmade.imported(data, "Owl")
    comparison.make(data, "Which one?", (4, 8), [(Column(method="delora"), run), (Column(method="lora"), waiting)])
    studio = Studio(data)
    control.start(data, waiting, engine=studio.engine)
    drawing = drawings.create(data, parse_request({"prompt": "a dog", "run": run.id, "step": 8}))
    for name in ("adapter-00.png", "base-00.png"):
        (drawing.path / name).write_bytes(handmade.PNG)
    control.draw(data, parse_request({"prompt": "a cat"}), studio.engine)
    exports.create(data, run, "kohya", 8)
    file = data / "other.safetensors"
    save_file({"x": np.zeros(2, np.float32)}, file)
    importing.create(data, [file], name="Other")
    uploads = data / "uploads"
    uploads.mkdir()
    draftforms.fill(draft.load(data), uploads)
    catalog.set_added(data, {"mine": str(data / "nowhere")})
    (data / "models" / ".incoming-dino").mkdir()
    downloads._tell(data, "dino", 1, 2, "cut off")
    studio.engine.records.close(studio.engine.records.open(f"{run.id}.1", "train", os.getpid(), os.getpid()), "done")
    studio.engine.records.end_at(f"{run.id}.1", 1.0)
    with workerfile.hold(data):
        workerfile.write(data, "here", 100.0)
    presence.join(data)
    presence.note(data, 1)
    with devices.owner(data, "somebody", run=run.id):
        signed = (data / "queue" / "device.lock").read_text()
    (data / "queue" / "device.lock").write_text(signed)
    return run
