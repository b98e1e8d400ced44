"""What a person can do to a run in its state: the buttons that its page offers, and what the new-run ones change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.adapters.formats import main_file
from app.web.reading.follow import RunView

FORCE_SECONDS = 30.0  # how long a stopping run is given before it may be ended by force


@dataclass(frozen=True)
class Action:
    """One button.

    key: stop, force_stop, remove, resume, resume_less_memory, new_half_lr, download, use (opens Generate with a save),
    train_longer, again, rename or delete. primary: the main one; a state has at most one. step: the save meant by use.
    """

    key: str
    label: str
    primary: bool = False
    step: int | None = None


def actions(view: RunView) -> list[Action]:
    """The buttons for the run's state, the main one first."""
    if view.stopping:
        return _stopping(view)
    state = view.state.name
    found = {
        "queued": [("remove", "Remove from the queue")],
        "starting": [("stop", "Stop")],
        "running": [("stop", "Stop (saves first)" if view.journal.steps else "Stop")],
        "done": _done(view),
        "failed": _failed(view),
    }.get(state) or [("resume", _resume(view))]
    found += [("use", f"Draw with step {_step(view)}")] if view.saves and state != "queued" else []
    found += [("again", "Run again with changes"), ("rename", "Rename")]
    found += [("delete", "Delete")] if view.state.ended else []
    return [
        Action(key, label, index == 0, _step(view) if key == "use" else None)
        for index, (key, label) in enumerate(found)
    ]


def changes(view: RunView, key: str) -> dict[str, Any]:
    """What a new run that `key` makes has else than this one: values for `training.presets.merged` and `parse`.

    Keys: again, train_longer, resume_less_memory, new_half_lr. The parent is recorded; the new run begins at the newest
    save where there is one, but for "again".
    """
    spec, saved = view.spec, max(view.saves, default=None)
    begin = {"parent": view.id, "start_step": saved if saved and saved < spec.steps else None}
    if key == "again":
        return {"parent": view.id, "start_step": None}
    if key == "train_longer":
        return {"parent": view.id, "start_step": saved, "steps": 2 * spec.steps}
    if key == "resume_less_memory":
        return {**begin, **less_memory(view)}
    if key == "new_half_lr":
        rates = {"learning_rate": spec.learning_rate / 2}
        if spec.learning_rate_lambda:
            rates["learning_rate_lambda"] = spec.learning_rate_lambda / 2
        return {**begin, **rates}
    raise ValueError(f"{key!r} makes no new run.")


def less_memory(view: RunView) -> dict[str, Any]:
    """Settings of a run that needs less memory than this one, {} where nothing is left to reduce."""
    spec, need = view.spec, view.state.memory
    if need is not None:  # training says it, which knows how small it already was
        return need.fix
    if spec.batch_size == 1 and spec.gradient_checkpointing:
        return {}
    half = (spec.batch_size + 1) // 2
    whole = spec.gradient_accumulation * (2 if half < spec.batch_size else 1)  # as many pictures a step as before
    return {"batch_size": half, "gradient_accumulation": whole, "gradient_checkpointing": True}


def _stopping(view: RunView) -> list[Action]:
    asked = view.stop_asked or view.state.updated
    if view.now - asked < FORCE_SECONDS:
        return []
    return [Action("force_stop", "Force stop (ends it at once, without a save)", True)]


def _done(view: RunView) -> list[tuple[str, str]]:
    file = main_file(view.exports) if view.exports else None
    download = [("download", f"Download {file['name']}")] if file else []
    return [*download, ("train_longer", "Train longer")]


def _failed(view: RunView) -> list[tuple[str, str]]:
    cause, saved = view.state.cause, max(view.saves, default=None)
    if cause == "nan":  # a resume would repeat the same numbers and break down at the same step
        begin = f" from step {saved}" if saved else ""
        return [("new_half_lr", f"New run{begin} at half the learning rate")]
    resume = ("resume", _resume(view))
    if cause == "memory" and (less := less_memory(view)):
        size = less.get("resolution")
        label = f"Try again with pictures of {size} pixels" if size else "Try again with less memory"
        return [("resume_less_memory", label), resume]
    return [resume]


def _resume(view: RunView) -> str:
    saved = max(view.saves, default=None)
    if saved:
        return f"Resume from step {saved}"
    return "Try again" if view.state.name == "failed" else "Put back in the queue"


def _step(view: RunView) -> int:
    """The save to draw with: the one to show first, or the newest where the run broke down (it is good as well)."""
    newest = max(view.saves)
    return view.best if view.best in view.saves and view.state.cause != "nan" else newest
