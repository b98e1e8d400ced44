"""The page Generate's own HTML for LoRA files from elsewhere: how an import stands, and what has been imported."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.adapters.imported import ImportedAdapter, Unreadable
from app.orders.order import Order
from app.web.parts import links


def standing(order: Order | None) -> str:
    """How the import of a file stands; when it is done, the way to draw with it."""
    if order is None:
        return ""
    if fault := order.fault():
        return words.failure(f"This import cannot be read. {fault}", order.AGAIN)
    state = order.state()
    if state.name == "failed":
        return words.failure(state.message, state.remedy)
    if not state.ended:
        return f"<p role='status'>{escape(state.message or 'Waits for the worker.')}</p>"
    if not state.made:
        return f"<p>{escape(state.message)}</p>"
    address = escape(links.generate_imported(state.made), quote=True)
    return (
        f"<p role='status'>Imported as {escape(state.made)}.</p>"
        f'<div class="ds-row"><a class="ds-button" href="{address}">Draw with {escape(state.made)}</a></div>'
    )


def listing(adapters: Sequence[ImportedAdapter], unreadable: Sequence[Unreadable] = ()) -> str:
    """What has been imported, each to draw with, to rename and to delete; what of it is damaged, to delete."""
    rows = "".join([*map(_row, adapters), *map(_damaged_row, unreadable)])
    return f'<ul class="ds-formats">{rows}</ul>' if rows else ""


def _damaged_row(adapter: Unreadable) -> str:
    slug = escape(adapter.slug, quote=True)
    return (
        f"<li><div><b>{slug}</b>{words.paragraph(f'Cannot be used. {adapter.fault}', 'ds-error')}</div>"
        '<div class="ds-row"><button type="button" class="ds-button ds-small" data-act="delete" '
        f'data-adapter="{slug}" data-keep="delete {slug}" aria-label="Delete {slug}">Delete</button></div></li>'
    )


def _row(adapter: ImportedAdapter) -> str:
    name, slug = escape(adapter.name, quote=True), escape(adapter.slug, quote=True)
    about = f"{adapter.method}, rank {adapter.rank}, for {words.base(adapter.base)}, from {adapter.source}"
    if adapter.left_out:
        about += f"; left out: {adapter.left_out}"
    buttons = "".join(
        f'<button type="button" class="ds-button ds-small" data-act="{act}" data-adapter="{slug}" '
        f'data-keep="{act} {slug}" aria-label="{label} {name}">{label}</button>'
        for act, label in (("rename", "Rename"), ("delete", "Delete"))
    )
    where = escape(links.generate_imported(adapter.slug), quote=True)
    return (
        f'<li><div><b>{name}</b>{words.paragraph(about, "ds-quiet")}</div><div class="ds-row"><a '
        f'class="ds-button ds-small" href="{where}" aria-label="Draw with {name}">Draw with it</a>{buttons}</div></li>'
    )
