"""A run's folder that cannot be opened, as a card and as a page: what is wrong, what is left, and how to delete it."""

from __future__ import annotations

from html import escape

from app import words
from app.computer.damaged import Damaged
from app.web.parts import links


def title(found: Damaged) -> str:
    """The page's heading."""
    return f"<h1 data-page-title='{escape(found.name, quote=True)}'>{escape(found.name)}</h1>"


def block(found: Damaged) -> str:
    """The page's text: what cannot be read, what to do, and what is still of use."""
    faults = "".join(words.paragraph(fault) for fault in found.faults)
    remedies = " ".join(found.remedies)
    return (
        f'<section class="ds-state" aria-label="State"><h2>{words.state_badge("damaged")}</h2>{faults}'
        f"{words.paragraph(f'{remedies} Nothing in the folder was changed, and it stays until you delete it.')}"
        f"<p>Folder: <code>{escape(str(found.run.path))}</code></p>{words.paragraph(found.left)}</section>"
    )


def downloads(found: Damaged) -> str:
    """What can be downloaded: exported files, and the adapters of saves."""
    run_id = found.run.id
    offered = [(links.export(run_id, name), name) for name in found.files]
    offered += [(links.save(run_id, step), f"Adapter of step {step}") for step in found.saves]
    if not offered:
        return ""
    items = "".join(
        f'<li><a class="ds-button" href="{escape(address, quote=True)}" download>{escape(label)}</a></li>'
        for address, label in offered
    )
    use = "The adapters work without the run: <code>delora generate PROMPT --adapter FILE</code>."
    return (
        f'<section aria-labelledby="ds-files"><h2 id="ds-files">What can be downloaded</h2>'
        f'<p class="ds-plain">{use}</p><ul class="ds-files">{items}</ul></section>'
    )


def buttons() -> str:
    """The one thing to do with it here."""
    return (
        '<div class="ds-row" role="group" aria-label="What you can do"><button type="button" class="ds-button" '
        'data-act="delete" data-keep="delete">Delete</button></div>'
    )
