"""Details of a run: loss, learning rates, memory and pace, notes, the settings that it read, its log."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from pydantic import BaseModel

from app import words
from app.drafts import settings as form
from app.web.parts.run import faults
from app.web.parts.run.scores import SIZE
from app.web.reading.follow import RunView
from evaluation import curves
from training.runs import shortage
from training.runs.shortage import Need
from training.spec import RunSpec

HIDDEN = ("version", "task", "name")
LABELS = {  # of what has no field on the page New, or another name there; the others are in `app.drafts.settings`
    "adapter.method": form.FIELDS["method"],
    "parent": "Made from",
    "start_step": "Begins at step",
}
OF_PROTOCOL = {"controlnet": "frozen-controlnet", "learning_rate_hint": "hint-encoder"}
# Values that are called otherwise where they are chosen.
NAMED = {"base": words.base, "adapter.method": words.method, "protocol": words.choice}
FOLDER = (
    "The raw numbers are in the run's folder, `{path}`: `events.jsonl` has loss, learning rates and each layer's "
    "distance and bound, step by step; `scores.json` the scores of each picture; `spec.json` the settings."
)


def section(view: RunView) -> str:
    """Notes and where the raw numbers lie; and folded: loss and pace, the settings, the log."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in view.journal.notes)
    return (
        '<section aria-labelledby="ds-details"><h2 id="ds-details">Details</h2>'
        f"{f'<ul>{notes}</ul>' if notes else ''}{pace_fold(view)}{settings_fold(view)}{log_fold(view)}"
        f"{words.paragraph(FOLDER.format(path=view.run.path.absolute()), 'ds-quiet')}</section>"
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
    nothing = "It is empty." if view.state.ended else "Nothing yet."
    text = f'<pre class="ds-log" tabindex="0" aria-label="Log">{escape(log)}</pre>' if log else f"<p>{nothing}</p>"
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
        f"<tr>{setting_head(name, told)}<td>{escape(setting_value(name, value))}</td></tr>"
        for name, value, told in settings(spec)
    )
    return words.table("Settings", ("Setting", "Value"), rows, "ds-described")


def setting_head(name: str, told: str) -> str:
    """The heading of a setting's row: its label as on the page New, its name in files and commands, what it means."""
    field = name if form.label(name) != name else f"{name}_"  # the field of "adapter.lambda" is lambda_
    label = LABELS.get(name) or form.label(field).removesuffix("_")
    return f'<th scope="row">{escape(label)} <code>{escape(name)}</code><span>{escape(told)}</span></th>'


def setting_value(name: str, value: Any) -> str:
    """A setting's value, called as where it is chosen."""
    return NAMED.get(name, words.number)(value)


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
    if name in OF_PROTOCOL:
        return spec.protocol == OF_PROTOCOL[name]
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
        **_memory(newest.get("memory_mb") or 0, most, need),
        "Time": spent,
    }
    pairs = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value)
    return f'<dl class="ds-figures">{pairs}</dl>' if pairs else "<p>Nothing measured yet.</p>"


def _memory(now_mb: float, most_mb: float, need: Need | None) -> dict[str, str]:
    """What was estimated, was free and is held.

    On a processor the whole program is measured, on a GPU the training's own at its peak.
    """
    gpu = need is not None and need.device == "cuda"
    held = "Memory" if need is None else "Graphics memory" if gpu else "Memory of the whole program"
    rows = {f"{held} now": 0 if gpu else now_mb, f"{held} at most": most_mb}
    found = {name: words.size(int(value * 1e6)) for name, value in rows.items() if value}
    if need is None:
        return found
    apart = "" if gpu else "; what Python and its libraries hold comes on top"
    cut = shortage.cut(need.micro_batch, need.checkpointing)
    return {
        "Memory for training, estimate": f"{words.size(int(need.needed_gb * 1e9))} with {cut}{apart}",
        "Memory free when it began": f"{words.size(int(need.free_gb * 1e9))} of {words.size(int(need.total_gb * 1e9))}",
        **found,
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
