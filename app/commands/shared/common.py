"""What every command shares: where the data lives, JSON or words, progress with time left, and errors for a person."""

import contextlib
import functools
import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.terminal import plain
from training.errors import RunFailed, StudioError, disk_full, from_os_error

EXIT_CODES = (
    "Exit codes: 0 done, 1 an error nobody foresaw, 2 something in the input is wrong, 3 a model is missing, "
    "4 the run failed (see its log.txt), 130 stopped on request."
)


def default_data() -> Path:
    """Where runs and models live unless `--data` or DELORA_DATA says otherwise."""
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(share) / "delora-studio"


def data_folder(given: str | Path) -> Path:
    """The folder that `--data` names, which need not be there yet."""
    path = Path(given)
    if not str(given).strip():
        raise typer.BadParameter("it is empty. Name a folder, or leave the option out.")
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:  # a part of it is a file, the name is too long, it holds a null byte
        raise typer.BadParameter(f"{given} cannot be used: {getattr(error, 'strerror', None) or error}.") from error
    if not stat.S_ISDIR(kind):
        raise typer.BadParameter(f"{given} is a file. Name a folder.")
    return path


Data = Annotated[
    Path,
    typer.Option(
        "--data",
        parser=data_folder,
        metavar="FOLDER",
        envvar="DELORA_DATA",
        show_default=False,
        help="Folder of runs and downloaded models; ~/.local/share/delora-studio.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words; no progress bars.")]


def command(function: Callable) -> Callable:
    """Wrap a command: errors of ours become one message on stderr and their exit code, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except StudioError as error:
            fail(error)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            raise typer.Exit(130) from None
        except (OSError, sqlite3.Error) as error:
            if full := disk_full(error):
                fail(full)
            if isinstance(error, sqlite3.Error):
                fail(RunFailed(f"The queue cannot be used: {error}.", "Check the permissions of the data folder."))
            if not error.errno or not error.filename:  # a library's own, not of a file
                raise
            fail(from_os_error(error, Path(error.filename)))

    return wrapped


def fail(error: StudioError) -> None:
    """Print what was wrong and what to do, and leave with the error's exit code."""
    print(plain(f"delora: {error.message}\n{error.remedy}").rstrip(), file=sys.stderr)
    raise typer.Exit(error.exit_code) from None


def answer(as_json: bool, document: Any, words: str) -> None:
    """Print the result: the JSON document, or the words for a person."""
    print(json.dumps(document, indent=2, default=str) if as_json else plain(words))


@contextlib.contextmanager
def on_device(data: Path, who: str) -> Iterator[None]:
    """Hold the device of the data folder while inside, as `who` for those who wait; waiting is told on stderr."""
    from app.work import devices

    told = ""

    def tell(present: str) -> None:
        nonlocal told
        if present != told:
            print(plain(f"Waiting for the device: {present}."), file=sys.stderr, flush=True)
        told = present

    with devices.owner(data, who, tell):
        yield


def words_for_notes(notes: list[str]) -> None:
    """Print what is worth knowing and stops nothing, on stderr."""
    for note in notes:
        print(plain(f"Note: {note}"), file=sys.stderr)


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Left-aligned columns, two spaces apart; a line break in a cell is shown as its code."""
    rows = [[plain(cell).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = "  ".join(name.ljust(width) for name, width in zip(headings, widths, strict=True))
    return "\n".join(line.rstrip() for line in [head, "  ".join("-" * width for width in widths), *lines])


class Bars:
    """Progress on stderr: one bar a phase with count and time left, or a plain line a phase where it is no terminal."""

    def __init__(self, quiet: bool):
        self._quiet, self._bars, self._tasks = quiet, None, {}

    def __enter__(self) -> "Bars":
        if not self._quiet and sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bars = progress.Progress(
                progress.TextColumn("{task.description:<16}", markup=False),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[words]}", markup=False),
                console=Console(stderr=True),
            )
            self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, phase: str, done: int, total: int | None, words: str = "") -> None:
        """Set a phase's bar to `done` of `total`."""
        if self._quiet:
            return
        phase, words = plain(phase), plain(words)
        new = phase not in self._tasks
        if self._bars is None:
            if new:
                self._tasks[phase] = None
                print(f"{phase} ...", file=sys.stderr, flush=True)
            return
        if new:
            self._tasks[phase] = self._bars.add_task(phase, total=total, words=words)
        self._bars.update(self._tasks[phase], completed=done, total=total, words=words)

    def say(self, words: str) -> None:
        """A line above the bars."""
        if self._bars is not None:
            self._bars.console.print(plain(words), markup=False)
        elif not self._quiet:
            print(plain(words), file=sys.stderr, flush=True)
