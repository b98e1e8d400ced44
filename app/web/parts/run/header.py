"""The top of a run's page: its state in words with what can be done, its phases, and its last sign of life."""

from __future__ import annotations

from html import escape

from app import words
from app.computer.damaged import LOST_HISTORY
from app.web.parts import links
from app.web.parts.run import faults
from app.web.parts.run.actions import FORCE_SECONDS, Action, actions, changes
from app.web.parts.run.phases import Phase, phases
from app.web.reading import folders
from app.web.reading.follow import SILENT_SECONDS, RunView, doing, left_words, waits
from app.web.reading.follow import view as read
from app.web.reading.progress import WAITING
from training.errors import StudioError
from training.runs.run import Run

__all__ = ["Action", "actions", "block", "changes", "facts", "life", "phase_list"]

BEFORE = ("", "prepare")  # phases of a run at work before the first work on pictures
STATE = "ds-state-title"  # element id: where the focus goes when the button that had it is no more
STATUS_WORDS = {"pending": "to come", "now": "now", "part": "begun", "done": "done"}
MARKS = {
    "pending": '<circle cx="8" cy="8" r="6"/>',
    "now": '<circle cx="8" cy="8" r="6"/><circle cx="8" cy="8" r="2.8" fill="currentColor"/>',
    "part": '<circle cx="8" cy="8" r="6"/><path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor"/>',
    "done": '<circle cx="8" cy="8" r="6" fill="currentColor"/><path class="ds-tick" d="m5.4 8.2 1.8 1.9 3.4-3.9"/>',
}


def block(view: RunView) -> str:
    """The state: a word with its icon, what it means, what is saved; causes and reports folded."""
    tell = {
        "queued": _queued,
        "starting": _starting,
        "running": _running,
        "stopping": _stopping,
        "stopped": _stopped,
        "interrupted": _interrupted,
        "failed": faults.block,
        "done": _done,
    }[_shown(view)]
    note = view.journal.notes[-1] if view.journal.notes and not view.state.ended else ""
    return (
        f'<section class="ds-state" aria-label="State"><h2 id="{STATE}" tabindex="-1" data-keep="state">'
        f"{words.state_badge(_shown(view))}</h2>"
        f"{tell(view)}{words.paragraph(note, 'ds-quiet')}{words.paragraph(_lost(view), 'ds-warn')}"
        f"{words.paragraph(_collapsed(view), 'ds-warn')}</section>"
    )


def facts(view: RunView) -> str:
    """One quiet line: method, base model, words for prompts or the protocol, the run it was made from."""
    spec = view.spec
    parts = [f"{escape(words.method(spec.adapter.method))} on {escape(words.base(spec.base))}"]
    parts += [f"write <q>{escape(spec.subject)}</q> in prompts"] if spec.subject else []
    if protocol := getattr(spec, "protocol", ""):
        parts += ["pictures from maps", f"protocol: {escape(words.choice(protocol))}"]
    if spec.parent:
        begin = f", from its step {spec.start_step}" if spec.start_step else ""
        parts.append(f"made from {_link(view.run, spec.parent, dated=True)}{begin}")
    return f'<p class="ds-facts">{" · ".join(parts)}</p>'


def phase_list(view: RunView) -> str:
    """The phases with their counts, and a bar for the whole; a waiting run has none yet."""
    if view.state.name == "queued" and not view.journal.steps:
        return ""
    bar = (
        f'<progress class="ds-progress" max="100" value="{view.percent or 0}" '
        f'aria-label="Training of {escape(view.name, quote=True)}"></progress>'
    )
    return f'<div class="ds-phases">{bar}<ol>{"".join(map(_phase, phases(view)))}</ol></div>'


def life(view: RunView) -> str:
    """Percent, time left and the last sign of life of a run at work. Changes every second; empty otherwise."""
    if not view.live:
        return ""
    parts = [f"<b>{view.percent or 0} %</b>", *filter(None, [_time_left(view)])]
    age = view.heartbeat_age
    if age is not None:
        told = f"last sign of life {words.ago(age)}"
        parts.append(f'<span class="ds-is-bad">{told}</span>' if age > SILENT_SECONDS else told)
    return f'<p class="ds-life">{" · ".join(parts)}</p>'


def _time_left(view: RunView) -> str:
    """How long it will take, or what it does where nobody knows; nothing of a run that is stopping."""
    if view.stopping:
        return ""
    if view.state.phase == WAITING:
        return "waiting for the device"
    if told := left_words(view.left):
        return told
    if view.step >= view.spec.steps:
        return f"nearly done: {escape(doing(view))}"
    return "time left: known when training has begun"


def _shown(view: RunView) -> str:
    return "stopping" if view.stopping else view.state.name


def _collapsed(view: RunView) -> str:
    """That training has destroyed its pictures, with the step it was last good at; the scores say how that is known."""
    advice = view.recommendation
    if advice is None or advice.collapsed is None:
        return ""
    good = "" if advice.last_good is None else f" It was last good at step {advice.last_good}."
    end = " You can stop it." if view.live and not view.stopping else ""
    return f"Its pictures are not clean any more since step {advice.collapsed}.{good}{end}"


def _lost(view: RunView) -> str:
    """What of the run's history is gone, told once it has ended: before that the two files are never quite alike."""
    known = max(view.journal.step, view.spec.start_step or 0)
    if not view.state.ended or view.state.step <= known:
        return ""
    if not view.journal.step:
        return LOST_HISTORY
    return f"Its history (events.jsonl) ends at step {known}: the curves have no later points, the rest is as it was."


def _queued(view: RunView) -> str:
    if view.place is None:
        return "<p>Waits in the queue. It starts by itself; you can close this page.</p>"
    first = f"<p>{escape(view.name)} {escape(waits(view))}. It starts by itself; you can close this page.</p>"
    rows = "".join(f"<li>{_link(run)}{_at_work(run) if at_work else ''}</li>" for run, at_work in view.place.ahead)
    return first + (
        f'<p>Number {len(view.place.ahead) + 1} in line, after</p><ol class="ds-ahead">{rows}</ol>' if rows else ""
    )


def _at_work(run: Run) -> str:
    """What the run at work is doing and how long it will still take."""
    try:
        other = read(run)
    except StudioError:
        return ""
    left = left_words(other.left)
    return f" ({escape(doing(other))}{f', {left}' if left else ''})"


def _starting(view: RunView) -> str:
    message = view.state.message or "The training program is starting; this takes a few seconds."
    return words.paragraph(message)


def _running(view: RunView) -> str:
    if view.state.phase == WAITING:
        return words.paragraph(f"{view.state.message or 'Waiting for the device.'} It goes on by itself.")
    what = "reading the base model and the pictures" if view.state.phase in BEFORE else doing(view)
    told = f"Now {what}. You can close this page: training does not need it."
    return words.paragraph(told) + words.paragraph(view.state.message)


def _stopping(view: RunView) -> str:
    told = "Saving, then stopping. "
    if view.stop_asked and view.now - view.stop_asked >= FORCE_SECONDS:
        told += "It is taking long. Force stop ends it at once; "
        told += f"what came after step {max(view.saves)} is then lost." if view.saves else "nothing is saved yet."
    else:
        told += "What is being drawn or computed just now is ended first."
    return words.paragraph(told)


def _stopped(view: RunView) -> str:
    removed = not view.step and not view.saves
    at = f"at step {view.step} of {view.spec.steps}" if view.step else "before the first step"
    message = view.state.message or f"Stopped {at}."
    if "aved" not in message and not removed:
        message = f"{message} {faults.saved(view)}"
    after = "It can be put back in the queue." if removed else faults.repeats(view)
    return words.paragraph(f"{message} {after}")


def _interrupted(view: RunView) -> str:
    state = view.state
    if state.message:
        return words.paragraph(f"{state.message} {state.remedy}")
    when = words.moment(state.heartbeat or state.updated, view.now)
    return words.paragraph(f"Interrupted on {when} at step {view.step}. {faults.saved(view)} {faults.repeats(view)}")


def _done(view: RunView) -> str:
    total = sum(view.journal.phase_seconds.values())
    took = f" Took {words.about(total)}." if total else ""
    return words.paragraph(f"Done on {words.moment(view.state.updated, view.now)}.{took}")


def _phase(phase: Phase) -> str:
    current = ' aria-current="step"' if phase.status == "now" else ""
    count = f'<span class="ds-count">{escape(phase.count)}</span>' if phase.count else ""
    return (
        f'<li class="ds-phase ds-phase-{phase.status}"{current}>'
        f'<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" stroke="currentColor" '
        f'stroke-width="1.6">{MARKS[phase.status]}</svg>'
        f'<span>{phase.name}<span class="ds-hidden">, {STATUS_WORDS[phase.status]}</span></span>{count}</li>'
    )


def _link(run: Run, run_id: str = "", dated: bool = False) -> str:
    """A link to a run by its name (and when it was made), or its id as plain text where it is not there any more."""
    run = Run(run.path.parent / run_id) if run_id else run
    try:
        name = folders.name(run)
        return f'<a href="{escape(links.run(run.id))}">{escape(folders.dated(run) if dated else name)}</a>'
    except StudioError:
        return f"{escape(run.id)} (deleted)"
