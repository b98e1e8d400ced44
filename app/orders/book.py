"""All that can be ordered of the drawing process: by id, all that is open, and how much of it is kept."""

from __future__ import annotations

from pathlib import Path

from app.orders.drawings import Drawing
from app.orders.exports import Export
from app.orders.importing import Import
from app.orders.order import Order
from app.orders.segmenting import Segmentation

KINDS: dict[str, type[Order]] = {kind.KIND: kind for kind in (Drawing, Export, Import, Segmentation)}


def at(data: Path, order_id: str) -> Order:
    """The order of that id, whether it is there or not. Raises KeyError for an id that is none."""
    kind = KINDS[order_id.partition("-")[0]]
    return kind(kind.folder(data) / order_id)


def all_orders(data: Path) -> list[Order]:
    """Every order there is, of each kind the newest first."""
    return [order for kind in KINDS.values() for order in kind.all(data)]


def prune(data: Path) -> None:
    """Remove what is older than the newest of its kind that are kept."""
    for kind in KINDS.values():
        kind.prune(data)
