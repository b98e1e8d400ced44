"""Every file of a data folder, damaged in every way, and everything that looks at the folder."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import draftforms
import handmade
import numpy as np

from app import actions, control
from app.adapters import saves, sources
from app.computer import downloads
from app.drafts import draft
from app.orders import drawings, exports, importing
from app.orders.request import parse_request
from app.web import ui
from app.web.studio import Studio
from app.work import devices, presence, workerfile
from training.base import catalog
from training.errors import BadInput, StudioError
from training.runs.run import Run

HUGE_BYTES = 80 * 2**20  # more than is ever read of one file, and sparse: it takes no room


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
    workerfile.write(data, "here", 100.0)
    presence.note(data, 1)
    with devices.owner(data, "somebody", run=run.id):
        signed = (data / "queue" / "device.lock").read_text()
    (data / "queue" / "device.lock").write_text(signed)
    return run


def files(data: Path) -> list[Path]:
    """All files of the folder, without locks and single pictures of a kind: the first stands for all.

    Without queue.db-shm too: SQLite maps it into memory, and a file that is made shorter under such a map ends the
    process that looks there, whatever the program.
    """
    found, seen = [], set()
    for path in sorted(data.rglob("*")):
        kind = (path.parent.name.rstrip("0123456789"), path.suffix, path.name if path.suffix != ".png" else "")
        if path.is_file() and not path.name.endswith((".lock", "-shm")) and kind not in seen:
            seen.add(kind)
            found.append(path)
    return [*found, data / "queue" / "device.lock"]


# Damages: each takes a path and a source of chance, and leaves something else there


def truncated(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))] if data else b"")


def flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def other_values(path: Path, chance: random.Random) -> None:
    """A JSON file with wrong kinds of values in it, or wrong JSON as a whole."""
    try:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        values = [json.loads(line) for line in lines]
    except ValueError:
        path.write_bytes(chance.choice((b"[]", b"5", b"\xff\xfe", b"null", b"\x1b[31m")))
        return
    path.write_text("\n".join(json.dumps(spoiled(value, chance)) for value in values) + "\n")


def missing(path: Path, chance: random.Random) -> None:
    path.unlink()


def folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def link_to_nowhere(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def link_to_itself(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_a_device(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def deep(path: Path, chance: random.Random) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def huge(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(HUGE_BYTES)


def empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def no_text(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"\xc3\x28\xff" * 20)


DAMAGES = (
    truncated, flipped, other_values, missing, folder, link_to_nowhere, link_to_itself, link_to_a_device, pipe, deep,
    huge, empty, no_text,
)  # fmt: skip
STRANGE = (
    None,
    True,
    -1,
    0,
    5,
    1e300,
    10**30,
    -1e300,
    "",
    "x",
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": []},
    "../../etc",
    "9" * 40,
)


def spoiled(value, chance: random.Random):
    """A JSON value with one to three of the values in it replaced by others, or removed."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, 3)):
        places = list(_places(value))
        if not places or chance.random() < 0.05:
            return copy.deepcopy(chance.choice(STRANGE))
        inside, key = chance.choice(places)
        if chance.random() < 0.2:
            del inside[key]
        else:
            inside[key] = copy.deepcopy(chance.choice(STRANGE))
    return value


def _places(value) -> Iterator[tuple]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


@contextlib.contextmanager
def damaged(data: Path, path: Path, damage: Callable, chance: random.Random) -> Iterator[None]:
    """The folder with one file damaged, while inside; then all of it is as it was."""
    copy = data.with_name(data.name + "-whole")
    if not copy.exists():
        shutil.copytree(data, copy)
    damage(path, chance)
    try:
        yield
    finally:
        _restore(copy, data)


def _restore(copy: Path, data: Path) -> None:
    """Make `data` equal to `copy` again, by what differs: rewriting all of it would take most of the time."""
    for path in sorted(data.rglob("*"), reverse=True):
        if not os.path.lexists(copy / path.relative_to(data)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for whole in sorted(copy.rglob("*")):
        path = data / whole.relative_to(copy)
        if whole.is_dir():
            if path.is_symlink() or path.is_file():
                path.unlink()
            path.mkdir(exist_ok=True)
        elif path.is_symlink() or not path.is_file() or _differ(path, whole):
            if os.path.lexists(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            shutil.copy2(whole, path)


def _differ(path: Path, whole: Path) -> bool:
    a, b = path.stat(), whole.stat()
    return (a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns)


# What looks at the folder


class Looks:
    """Everything that reads a data folder, called as the app, other programs and the command line call it.

    Each call either answers or raises a StudioError; `all` collects what did otherwise.
    """

    def __init__(self, data: Path, run: Run):
        from fastapi.testclient import TestClient
        from typer.testing import CliRunner

        self.data, self.run = data, run
        self.studio = Studio(data)
        self.blocks = ui.blocks(self.studio)
        self.client = TestClient(ui.application(self.studio), raise_server_exceptions=False)
        self.cli = CliRunner()
        self.drawing = drawings.list_drawings(data)[-1].id

    def all(self) -> list[str]:
        """What went wrong, a line each."""
        return [*self.pages(), *self.routes(), *self.actions(), *self.commands()]

    def pages(self) -> list[str]:
        """The pages' load and timer functions, for the address of each page."""
        found = []
        asked = SimpleNamespace(
            query_params={"id": self.run.id, "ids": ",".join(run.name for run in (self.data / "runs").iterdir())},
            request=SimpleNamespace(scope={}),
        )
        for event in self.blocks.fns.values():
            names = list(inspect.signature(event.fn).parameters) if event.fn else ["event"]
            kinds = {kind for _, kind in event.targets}
            if "event" in names or not kinds or kinds - {"load", "tick"}:
                continue
            values = [getattr(part, "value", None) for part in event.inputs]
            values = [self.drawing if value == "" and names[-2:] == ["shown", "chosen"] else value for value in values]
            arguments = [asked, *values] if names[:1] == ["request"] else values
            found += self._tried(f"page {event.fn.__qualname__}", lambda f=event.fn, a=arguments: repr(f(*a)).encode())
        return found

    def routes(self) -> list[str]:
        """The app's own addresses."""
        drawing = f"drawing/{self.drawing}/adapter-00.png"
        asked = [f"file/{self.run.id}/biscuit.safetensors", f"save/{self.run.id}/8", "status", drawing]
        asked += [f"picture/{self.run.id}/dataset/00.png", f"picture/{self.run.id}/step-000008/00-00.png"]
        answers = {address: self.client.get(f"/studio/{address}").status_code for address in asked}
        return [f"route {address}: {code}" for address, code in answers.items() if code >= 500]

    def actions(self) -> list[str]:
        """What other programs call by name, and what the pages' buttons do first."""
        data, run, engine = self.data, self.run, self.studio.engine
        tried = {
            "status": lambda: actions.status(data, run.id),
            "download": lambda: actions.download(data, run.id),
            "stop": lambda: actions.stop(data, run.id, engine),
            "generate": lambda: control.draw(data, parse_request({"prompt": "a dog", "run": run.id}), engine),
            "export": lambda: control.export(data, run, "peft", engine),
            "draw with": lambda: sources.find(data, "owl"),
            "draft": lambda: draft.load(data),
            "drawing": lambda: drawings.open_drawing(data, self.drawing).request(),
            "engine": lambda: self.studio.engine.capacity(),
        }
        return [line for name, do in tried.items() for line in self._tried(name, do)]

    def commands(self) -> list[str]:
        """The command line; drawing and exporting end before a model is loaded."""
        from app.cli import cli

        run, found = self.run.id, []
        report = str(self.data / "report.html")
        lines = (
            ["runs", "list"], ["runs", "show", run], ["runs", "report", run, "--out", report], ["runs", "delete", run],
            ["models", "list"], ["import", "--list"], ["generate", "a dog", "--run", run],
            ["generate", "a dog", "--adapter", "owl"], ["export", run],
        )  # fmt: skip
        before = saves.open_base
        saves.open_base = _no_model
        try:
            for line in lines:
                done = self.cli.invoke(cli, [*line, "--data", str(self.data)], input="n\n")
                if done.exit_code == 1 or (done.exception and not isinstance(done.exception, SystemExit)):
                    found.append(f"command {' '.join(line[:2])}: {done.exception!r}")
        finally:
            saves.open_base = before
        return found

    @staticmethod
    def _tried(name: str, do: Callable) -> list[str]:
        try:
            do()
        except StudioError:
            pass
        except Exception as error:
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            return [f"{name}: {error!r} at {Path(where.filename).name}:{where.lineno}"]
        return []


def _no_model(*_, **__):
    raise BadInput("No model is loaded here.")
