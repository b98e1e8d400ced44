"""A failed run in words: the cause, what is saved, what helps; and the report that can be copied."""

from __future__ import annotations

import os
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app import words
from app.web.parts.run.actions import less_memory
from app.web.reading.follow import RunView
from training import jsonfile

REPORT_ID = "ds-report"
TAIL_BYTES = 12_000
TAIL_LINES = 60
PACKAGES = ("delora-studio", "torch", "diffusers", "transformers", "gradio")


def block(view: RunView) -> str:
    """Cause, what is saved and the way out in sentences; the report folded, with a button that copies it."""
    state = view.state
    message = state.message or f"The training program ended at step {view.step}."
    told = message if "aved" in message else f"{message} {saved(view)}"
    paragraphs = words.paragraph(told) + words.paragraph(_remedy(view))
    copy = f'<button type="button" class="ds-button" data-keep="copy" data-copy="{REPORT_ID}">Copy report</button>'
    # The text can be scrolled, so it must be reachable from the keyboard.
    text = f'<pre id="{REPORT_ID}" class="ds-log" tabindex="0" aria-label="Report">{escape(report(view))}</pre>'
    return f"{paragraphs}<p>{copy}</p>{words.folded('Technical report', text, 'ds-fault')}"


def saved(view: RunView) -> str:
    """How far the run is saved."""
    newest = max(view.saves, default=None)
    return "Nothing is saved yet." if newest is None else f"Saved up to step {newest}."


def repeats(view: RunView) -> str:
    """What a resume makes again and how long that takes."""
    again = view.step - max(view.saves, default=0)
    exact = "on this machine the result is the same as without the break."
    if again <= 0:
        return f"Resume goes on from there; {exact}"
    a_step = view.journal.seconds_per_step
    takes = f", {words.about(again * a_step)}" if a_step and again * a_step >= 1 else ""
    return f"Resume repeats {words.counted(again, 'step')}{takes}; {exact}"


def report(view: RunView) -> str:
    """Everything that helps somebody else to understand the failure, as plain text."""
    state = view.state
    lines = [
        f"Run {view.id}: {state.name}{f' ({state.cause})' if state.cause else ''} at step {view.step} of "
        f"{view.spec.steps}, saved: {', '.join(map(str, view.saves)) or 'nothing'}",
        f"{state.message} {state.remedy}".strip(),
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        *(f"Note: {note}" for note in view.journal.notes),
        f"Settings: {view.spec.model_dump_json()}",
        "",
        log_tail(view.run.path / "log.txt") or "The log is empty.",
    ]
    return "\n".join(lines)


def log_tail(path: Path) -> str:
    """The last lines of a log, "" where there is none."""
    try:
        with jsonfile.open_regular(path) as file:
            whole = file.seek(0, os.SEEK_END)
            file.seek(max(0, whole - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-TAIL_LINES:])


def _remedy(view: RunView) -> str:
    state = view.state
    if state.cause == "memory" and state.memory is None:  # a run of a version that did not say what it needs
        if not (less := less_memory(view)):
            return "Close other programs and resume, or make a new run with a smaller resolution."
        return (
            f"Try again with less memory: a new run that computes {words.counted(less['batch_size'], 'picture')} at "
            "once and keeps fewer numbers (gradient checkpointing), about 30 % slower. Or close other programs and "
            "resume."
        )
    return state.remedy


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
