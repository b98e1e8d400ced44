"""The small words of the pages: states, durations, moments, sizes, names of methods and base models."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from training.base import catalog

# state -> word, colour class, what the icon draws inside its circle
STATES = {
    "queued": ("Waiting", "ds-is-quiet", '<path d="M8 4.5V8l2.4 1.6"/>'),
    "starting": ("Starting", "ds-is-accent", '<path d="M5 8h.01M8 8h.01M11 8h.01"/>'),
    "running": ("Running", "ds-is-accent", '<path d="M6.6 5.2 11 8l-4.4 2.8z" fill="currentColor"/>'),
    "stopping": ("Stopping", "ds-is-warn", '<path d="M6.3 5.5v5M9.7 5.5v5"/>'),
    "stopped": ("Stopped", "ds-is-quiet", '<path d="M5.8 5.8h4.4v4.4H5.8z" fill="currentColor"/>'),
    "interrupted": ("Interrupted", "ds-is-warn", '<path d="M8 4.4v4.2M8 11.2v.1"/>'),
    "failed": ("Failed", "ds-is-bad", '<path d="m5.7 5.7 4.6 4.6M10.3 5.7l-4.6 4.6"/>'),
    "done": ("Done", "ds-is-good", '<path d="m5 8.2 2.1 2.2L11 5.9"/>'),
}
# What a card may say in place of a state: of a folder that does not tell one.
BADGES = STATES | {"damaged": ("Damaged", "ds-is-bad", '<path d="M8.8 4 6.6 7.4l2.6 1.4L7.2 12"/>')}
METHODS = {
    "delora": "DeLoRA",
    "lora": "LoRA",
    "lora-normalised": "Normalised LoRA",
    "dora": "DoRA",
    "dora-fixed": "DoRA, fixed magnitudes",
    "oft": "OFT",
    "ether": "ETHER",
    "ether-plus": "ETHER+",
    "ether-plus-one-sided": "ETHER+, one-sided",
    "ether-plus-controllable": "ETHER+, controllable",
    "ether-plus-high-rank": "ETHER+, high rank",
    "ether-plus-relaxed": "ETHER+, relaxed",
    "full": "Full finetuning",
}
CHOICES = {"frozen-controlnet": "frozen ControlNet", "hint-encoder": "hint encoder (the paper's protocol)"}
CODE = re.compile(r"`([^`]+)`")
WEEK_SECONDS = 6 * 24 * 3600


def state_badge(name: str) -> str:
    """A state as icon and word in its colour."""
    word, colour, _ = BADGES[name]
    return f'<span class="ds-badge {colour}">{state_icon(name)}<span>{word}</span></span>'


def state_icon(name: str) -> str:
    """A state's icon alone, silent for screen readers: the word stands beside it."""
    return (
        '<svg class="ds-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" '
        'stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">'
        f'<circle cx="8" cy="8" r="6.8"/>{BADGES[name][2]}</svg>'
    )


def duration(seconds: float) -> str:
    """How long, as one says it: "40 s", "about 6 min", "about 1 h 20 min", "about 2 days"."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 20:
        return f"{seconds:.0f} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 24 * 60:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"about {hours} h {rest} min" if rest else f"about {hours} h"
    days = round(minutes / (24 * 60))
    return "about 1 day" if days == 1 else f"about {days} days"


def about(seconds: float) -> str:
    """A duration that is an estimate: the same with "about" also before seconds."""
    told = duration(seconds)
    return told if told.startswith(("about", "under")) else f"about {told}"


def ago(seconds: float) -> str:
    """How long ago: "2 s ago", "about 6 min ago"."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def moment(when: float, now: float | None = None) -> str:
    """A date in seconds since 1970 as "Tue 14:02" within a week, else as "12 Nov 2026"."""
    then, now = time.localtime(when), time.time() if now is None else now
    if abs(now - when) < WEEK_SECONDS:
        return time.strftime("%a %H:%M", then)
    return f"{then.tm_mday} {time.strftime('%b %Y', then)}"


def size(count: int) -> str:
    """A number of bytes: "980 B", "45 kB", "3.2 MB", "2.1 GB"."""
    if count < 1000:
        return f"{count} B"
    for unit, one in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < 999.5 * one or unit == "GB":
            return f"{count / one:.1f} {unit}" if count < 9.95 * one else f"{count / one:.0f} {unit}"
    raise AssertionError("GB takes every size")


def percent(value: float | None) -> str:
    """A percent, a dash where there is none."""
    return "–" if value is None else f"{value:z.0f} %"


def number(value: object) -> str:
    """A setting's or a measurement's value as one writes it."""
    if value is None or value == "" or value == {}:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return str(value)


def method(name: str) -> str:
    """A method's name as papers write it."""
    return METHODS.get(name, name)


def choice(value: str) -> str:
    """A setting's value as it is called where one chooses it."""
    return CHOICES.get(value, value)


def base(ref: str) -> str:
    """What to call the base model that a spec names."""
    if ref == "embedded":
        return "Toy model (built in)"
    known = catalog.find(ref)
    if known:
        return known.title
    path = Path(ref)
    return (path.stem if path.suffix == ".safetensors" else path.name) if path.is_absolute() else ref


def counted(count: int, one: str, many: str = "") -> str:
    """ "1 run", "3 runs"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def paragraph(words: str, kind: str = "ds-plain") -> str:
    """A paragraph of plain text with a class, its `commands` in type; empty for no words."""
    told = CODE.sub(r"<code>\1</code>", escape(words))
    return f'<p class="{kind}">{told}</p>' if words else ""


def folded(title: str, html: str, key: str, shown: bool = False) -> str:
    """Something that is shown when asked for. key: its element id, by which a script keeps it as a person left it."""
    summary = f'<summary data-keep="{key}">{escape(title)}</summary>'
    return f'<details class="ds-folded" id="{key}"{" open" if shown else ""}>{summary}{html}</details>'


def table(label: str, head: Sequence[str], rows: str, kind: str = "") -> str:
    """A table that scrolls sideways where it is too wide, also from the keyboard. rows: HTML of its `<tr>`s."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return (
        f'<div class="ds-wide" tabindex="0" role="region" data-keep="{escape(label)}" aria-label="{escape(label)}">'
        f'<table class="ds-table {kind}"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def failure(message: str, remedy: str) -> str:
    """Why something failed and what to do, announced to those who do not see it appear."""
    return f'<p role="alert" class="ds-error">{escape(f"{message} {remedy}".strip())}</p>'
