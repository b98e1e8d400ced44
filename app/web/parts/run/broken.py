"""The files of a run that cannot be read while the rest of it can: what is wrong, their bytes, and a way out."""

from __future__ import annotations

from html import escape

from app import words
from app.computer import damaged
from app.computer.damaged import Fault
from app.web.reading.follow import RunView

ABOUT = "The rest of the run is shown without them. What is put aside stays in the folder under another name."


def section(view: RunView) -> str:
    """A row for each such file; nothing where all can be read."""
    if not view.faults:
        return ""
    rows = "".join(_row(view, fault) for fault in view.faults)
    return (
        f'<section class="ds-warning" aria-labelledby="ds-broken"><h2 id="ds-broken">Cannot be read</h2>'
        f'{words.paragraph(ABOUT)}<ul class="ds-formats">{rows}</ul></section>'
    )


def _row(view: RunView, fault: Fault) -> str:
    file = escape(fault.file, quote=True)
    key = "ds-bytes-" + fault.file.replace("/", "-").replace(".", "-")
    shown = f'<pre class="ds-log" tabindex="0">{escape(damaged.content(view.run, fault.file))}</pre>'
    button = (
        f'<button type="button" class="ds-button ds-small" data-act="aside" data-file="{file}" '
        f'data-keep="aside {file}" aria-label="Put {file} aside">Put it aside</button>'
    )
    return (
        f"<li><div><b>{file}</b>{words.paragraph(fault.words)}{words.folded('What is in it', shown, key)}</div>"
        f'<div class="ds-row">{button}</div></li>'
    )
