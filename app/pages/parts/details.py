"""Details of a run: loss, learning rates, memory and pace, notes, the settings that it read, its log."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from pydantic import BaseModel

from app.pages.parts import faults, words
from app.pages.parts.follow import RunView
from app.pages.parts.scores import SIZE
from evaluation import curves
from training import shortage
from training.spec import RunSpec

HIDDEN = ("version", "task", "name")


def section(view: RunView) -> str:
    """Notes; and folded: loss and pace, the settings, the log."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in view.journal.notes)
    return (
        '<section aria-labelledby="ds-details"><h2 id="ds-details">Details</h2>'
        f"{f'<ul>{notes}</ul>' if notes else ''}{pace_fold(view)}{settings_fold(view)}{log_fold(view)}</section>"
    )


def pace_fold(view: RunView) -> str:
    """Loss, learning rates, memory and pace, folded; they change with every step."""
    plot = f"<figure>{curves.losses_plot(view.journal.steps, **SIZE)}</figure>" if view.journal.steps else ""
    body = f'<div class="ds-plots">{plot}<div>{_measured(view)}</div></div>'
    return words.folded("Loss, learning rates, memory", body, "ds-pace")


def settings_fold(view: RunView) -> str:
    """The settings, folded; they never change."""
    return words.folded("Settings", settings_table(view.spec), "ds-settings")


def log_fold(view: RunView) -> str:
    """The end of the log, folded."""
    log = faults.log_tail(view.run.path / "log.txt")
    text = f'<pre class="ds-log" tabindex="0" aria-label="Log">{escape(log)}</pre>' if log else "<p>It is empty.</p>"
    return words.folded("Log", text, "ds-log-tail")


def settings(spec: RunSpec) -> Iterator[tuple[str, Any, str]]:
    """The settings that the run read: name, value, description; those of the method and of the pictures spelled out."""
    for name, value, told in _fields(spec):
        if isinstance(value, BaseModel):
            yield from ((f"{name}.{inner.rstrip('_')}", v, words_) for inner, v, words_ in _fields(value))
        elif name not in HIDDEN and _read(spec, name):
            yield name, value, told


def settings_table(spec: RunSpec) -> str:
    """The same as a table."""
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code><span>{escape(told)}</span></th>'
        f"<td>{escape(words.number(value))}</td></tr>"
        for name, value, told in settings(spec)
    )
    return words.table("Settings", ("Setting", "Value"), rows, "ds-described")


def _fields(model: BaseModel) -> Iterator[tuple[str, Any, str]]:
    fields = sorted(
        type(model).model_fields.items(), key=lambda field: field[0] != "method"
    )  # the rest is the method's
    for name, info in fields:
        yield name, getattr(model, name), info.description or ("The adapter method." if name == "method" else "")


def _read(spec: RunSpec, name: str) -> bool:
    """Whether the run reads a setting at all."""
    if name == "learning_rate_lambda":
        return hasattr(spec.adapter, "lambda_")
    if name in ("class_prompt", "class_steps"):
        return spec.with_prior
    return not (name in ("parent", "start_step") and getattr(spec, name) is None)


def _measured(view: RunView) -> str:
    """Learning rates, memory and pace now, and the time of each phase."""
    journal, need = view.journal, view.state.memory
    newest = journal.steps[-1] if journal.steps else {}
    most = max((event.get("memory_mb") or 0 for event in journal.steps), default=0)
    pace = journal.seconds_per_step
    spent = ", ".join(f"{phase} {words.duration(seconds)}" for phase, seconds in journal.phase_seconds.items())
    rows = {
        "Loss, newest step": _figure(newest.get("loss")),
        "Learning rate now": _figure(newest.get("lr")),
        "Learning rate of lambda now": _figure(newest.get("lr_lambda")),
        "Gradient's length": _figure(newest.get("grad_norm")),
        "Seconds a step": "" if pace is None else f"{pace:.2f}",
        "Memory now": words.size(int(newest["memory_mb"] * 1e6)) if newest.get("memory_mb") else "",
        "Memory by estimate": need
        and f"{need.needed_gb:.1f} GB with {shortage.cut(need.micro_batch, need.checkpointing)}",
        "Memory free for it": need and f"{need.free_gb:.1f} of {need.total_gb:.1f} GB",
        "Memory at most": words.size(int(most * 1e6)) if most else "",
        "Time": spent,
    }
    pairs = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value)
    return f'<dl class="ds-figures">{pairs}</dl>' if pairs else "<p>Nothing measured yet.</p>"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
