"""Maps of photographs: a picture given to Generate becomes a map there, made by the segmentor.

segmentations/<id>/
  request.json, state.json   see app.orders.order
  photo.png                  the middle square of the picture, cleaned
  map.png                    what the segmentor saw in it, as labels
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from app.orders import following
from app.orders.order import STAMP, Order
from training import jsonfile, room
from training.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from evaluation.maps.segmentor import Segmentor

PHOTO, LARGEST_PX = "photo.png", 1024
ID = re.compile(f"segmentation-{STAMP}")


class SegmentRequest(BaseModel):
    """What is asked for. segmentor: as `evaluation.maps.segmentor` names it. name: of the picture's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmentor: str = Field(min_length=1, max_length=1000)
    name: str = Field(max_length=255)


class Segmentation(Order):
    """One picture to be segmented; see `app.orders.order.Order`."""

    KIND = "segmentation"
    KEEP = 20
    UNDONE = "the map was made"
    AGAIN = "Give the picture again."
    SMALLER = "Close other programs, or give a smaller picture."

    def request(self) -> SegmentRequest:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        return jsonfile.load(self.path / "request.json", SegmentRequest, self.AGAIN)

    def labels(self) -> np.ndarray:
        """The map of the finished one, (edge, edge) uint8. Raises BadInput where it cannot be read."""
        return following.read(self.path / following.MAP)


def create(data: Path, photo: Path, segmentor: str) -> Segmentation:
    """Order the map of a picture; the order appears whole or not at all, with a copy of the picture's middle square.

    Raises BadInput or MissingModel, naming the picture, or the segmentor that is not there or is none.
    """
    from evaluation.maps import segmentor as segmentors
    from training.maps import geometry
    from training.subject import pictures

    segmentors.check(segmentor, data)
    image = pictures.read(photo).image
    edge = min(*image.size, LARGEST_PX)
    square = geometry.cut_picture(image, geometry.frame(image.size, edge))
    room.check(data, 2 * room.pictures_bytes(1, edge), "this map")
    buffer = io.BytesIO()
    square.save(buffer, "PNG")
    request = SegmentRequest(segmentor=segmentor, name=Path(photo).name[:255])
    return Segmentation.make(data, request, files={PHOTO: buffer.getvalue()})


def find(data: Path, order_id: str) -> Segmentation | None:
    """The order of that id, None where it is no more there."""
    path = Segmentation.folder(data) / order_id
    return Segmentation(path) if ID.fullmatch(order_id) and path.is_dir() else None


def work(order: Segmentation, segmentor: Segmentor) -> None:
    """Write the map of an order's picture. To be called by the owner of the device. Raises BadInput and OSError."""
    from evaluation.pictures import read_pictures
    from training.maps import writing

    photo = order.path / PHOTO
    if photo.is_symlink():
        raise BadInput(f"{photo} is a link, which is not followed.", order.AGAIN)
    (labels,) = segmentor.segment(read_pictures([photo]))
    writing.write(labels, order.path / following.MAP, "index", {"segmentor": json.dumps(segmentor.describe())})
