"""Drawings: what was asked of Generate and what became of it, a folder each. Pages read them, the drawer fills them.

    drawings/<id>/
      request.json     what was asked for, complete (see app.orders.request); never changed
      state.json       where it stands (see app.orders.order)
      adapter-00.png   the pictures, each with its settings in a text chunk; base-00.png is the base model's at the
                       same seed
      map.png, map-palette.png
                       the map that they follow, where there is one: its labels, and its colours to look at
      seen-*.png       what the segmentor saw in the picture of that name, as labels
      agreement.json   how well that agrees with the map (see app.orders.agreeing)
      stop             somebody asked it to stop

The newest 200 drawings are kept; older ones are removed by the worker, though none that has not ended.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from app.orders import following
from app.orders.order import STAMP, Order
from app.orders.request import DrawRequest, complete, parse_request
from training import jsonfile, room
from training.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DrawRequest", "Drawing", "create", "list_drawings", "open_drawing", "parse_request"]

USUAL_PX = 512
ID = re.compile(f"drawing-{STAMP}")


class Drawing(Order):
    """One drawing; see `app.orders.order.Order`."""

    KIND = "drawing"
    KEEP = 200
    UNDONE = "the pictures were done"
    AGAIN = "Draw it again."
    SMALLER = "Close other programs, or draw fewer or smaller pictures."

    def request(self) -> DrawRequest:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        return jsonfile.load(self.path / "request.json", DrawRequest, self.AGAIN)

    def pictures(self) -> list[Path]:
        """The pictures asked for that are finished, in the order of their seeds."""
        return jsonfile.files(self.path, "", "adapter-*.png") or ([] if self.request().adapted else self._of_base())

    def base_pictures(self) -> list[Path]:
        """The base model's pictures at the same seeds, [] where nothing is to be compared."""
        return self._of_base() if self.request().adapted else []

    def labels(self) -> np.ndarray | None:
        """The map that its pictures follow, (H, W) uint8 at their size; None without one. Raises BadInput."""
        return following.read(self.path / following.MAP) if self.request().map else None

    def needed_bytes(self) -> float:
        """About what its pictures will take; a size that the base model chooses counts as Stable Diffusion's."""
        request = self.request()
        return room.pictures_bytes(request.total, request.size or USUAL_PX)

    def _of_base(self) -> list[Path]:
        return jsonfile.files(self.path, "", "base-*.png")


def create(data: Path, request: DrawRequest, labels: np.ndarray | None = None) -> Drawing:
    """Make a drawing in state queued; it appears whole or not at all. `app.control.draw` also puts it in the queue.

    labels: the map that its pictures follow, (H, W) uint8; the middle square is drawn.

    Raises BadInput or MissingModel as `app.orders.request.complete`, BadInput for a map without a class or a request
    that names one which did not come, DiskFull where there is no room for its pictures.
    """
    if labels is None and request.map:
        raise BadInput("The map itself did not come with the request.", "Draw from it on the page Generate.", "map")
    if labels is not None:
        request = request.model_copy(update={"map": following.name(labels)})
    request = complete(data, request)
    room.check(data, room.pictures_bytes(request.total, request.size or USUAL_PX), "this drawing")
    files = {} if labels is None else following.files(labels, request, data)
    return Drawing.make(data, request, request.total, files)


def open_drawing(data: Path, drawing_id: str) -> Drawing:
    """The drawing of that id, damaged or not. Raises BadInput where there is none."""
    path = Path(data) / "drawings" / drawing_id
    if not ID.fullmatch(drawing_id) or not path.is_dir():
        raise BadInput(f"There is no drawing {drawing_id!r}.", f"Only the newest {Drawing.KEEP} are kept.", "drawing")
    return Drawing(path)


def list_drawings(data: Path) -> list[Drawing]:
    """All drawings, newest first."""
    return Drawing.all(data)
