"""Everything that reads a data folder, called as the app, other programs and the command line call it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from app import actions, control
from app.adapters import saves, sources
from app.drafts import draft
from app.orders import drawings
from app.orders.request import parse_request
from app.web import ui
from app.web.studio import Studio
from training.errors import BadInput, StudioError
from training.runs.run import Run


class Looks:
    """All of it. Each call either answers or raises a StudioError; `all` collects what did otherwise."""

    def __init__(self, data: Path, run: Run):
        from fastapi.testclient import TestClient
        from typer.testing import CliRunner

        self.data, self.run = data, run
        self.studio = Studio(data)
        self.blocks = ui.blocks(self.studio)
        self.client = TestClient(ui.application(self.studio), raise_server_exceptions=False)
        self.cli = CliRunner()
        self.compared = next((data / "comparisons").iterdir()).name
        self.drawing = drawings.list_drawings(data)[-1].id

    def all(self) -> list[str]:
        """What went wrong, a line each."""
        return [*self.pages(), *self.routes(), *self.actions(), *self.commands()]

    def pages(self) -> list[str]:
        """The pages' load and timer functions, for the address of each page."""
        found = []
        ids = ",".join(run.name for run in (self.data / "runs").iterdir())
        asked, other = (
            SimpleNamespace(query_params={"id": shown, "ids": ids}, request=SimpleNamespace(scope={}))
            for shown in (self.run.id, self.compared)
        )
        for event in self.blocks.fns.values():
            names = list(inspect.signature(event.fn).parameters) if event.fn else ["event"]
            kinds = {kind for _, kind in event.targets}
            if "event" in names or not kinds or kinds - {"load", "tick"}:
                continue
            values = [getattr(part, "value", None) for part in event.inputs]
            values = [self.drawing if value == "" and names[-2:] == ["shown", "chosen"] else value for value in values]
            for address in (asked, other) if names[:1] == ["request"] else (None,):
                arguments = [address, *values] if address else values
                found += self._tried(
                    f"page {event.fn.__qualname__}", lambda f=event.fn, a=arguments: repr(f(*a)).encode()
                )
        return found

    def routes(self) -> list[str]:
        """The app's own addresses."""
        drawing = f"drawing/{self.drawing}/adapter-00.png"
        asked = [f"file/{self.run.id}/biscuit.safetensors", f"save/{self.run.id}/8", "status", drawing]
        asked += [f"picture/{self.run.id}/dataset/00.png", f"picture/{self.run.id}/step-000008/00-00.png"]
        asked += [f"comparison/{self.compared}/html", f"comparison/{self.compared}/png"]
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
            ["generate", "a dog", "--adapter", "owl"], ["export", run], ["compare", "--resume", self.compared],
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
            where = traceback.extract_tb(error.__traceback__)[-1]
            return [f"{name}: {error!r} at {Path(where.filename).name}:{where.lineno}"]
        return []


def _no_model(*_, **__):
    raise BadInput("No model is loaded here.")
