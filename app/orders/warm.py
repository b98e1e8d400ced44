"""A base model, an adapter on it and what maps need, kept between drawings: what makes the second drawing quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from app.adapters import saves, sources, steered
from app.orders import following
from app.orders.request import DrawRequest
from training import sample
from training.maps.steering import drawing
from training.step.memory import is_out_of_memory, release

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from app.adapters.sources import Source
    from delora import Adapter
    from evaluation.maps.segmentor import Segmentor
    from training.base.models import BaseModel
    from training.maps.steering.protocols import Steering

BATCH = 4  # drawn at once: small, so that the first pictures come early


class Warm:
    """Draws requests one after another, loading only what the one before did not need."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self.base: BaseModel | None = None
        self.adapter: Adapter | None = None
        self._source: Source | None = None  # what `adapter` is of
        self.steering: Steering | None = None  # what holds pictures to a map
        self._steered: tuple | None = None  # what it is of: a ControlNet, or the save whose own encoder it is
        self._control_facts: dict = {}
        self._labels: np.ndarray | None = None  # of the map that is drawn
        self._segmentor: tuple[str, Segmentor] | None = None  # by its name
        self._base_pictures: dict[tuple, list[Image.Image]] = {}  # those of the last request, for another strength

    def open(self, request: DrawRequest, labels: np.ndarray | None = None) -> None:
        """Load base model, adapter and, for a map, what steers, of a completed request.

        labels: the map. Raises as `models.load_base`, `Source.attach` and `steered.steering`.
        """
        if self.base is None or self.base.ref != request.base:
            self.close()
            self.base = saves.open_base(request.base, self.data)
        source = _source(self.data, request)
        if (source and source.facts) != (self._source and self._source.facts):
            self._take_off()
            if source is not None:
                self.adapter = source.attach(self.base, other_base=request.other_base)
                self._source = source
        self._labels = labels
        wanted = None if labels is None else (request.control, None if request.control else source.facts)
        if wanted != self._steered:
            self.steering = self._steered = None  # before the next one is loaded: two may be too much
            if wanted:
                own = None if request.control else source
                self.steering, self._control_facts = steered.steering(self.base, own, request.control, 1.0, self.data)
                self._steered = wanted
        if self.steering:
            self.steering.scale = float(request.control_scale)

    def segmentor(self) -> Segmentor:
        """The segmentor that knows the base model's pictures, on its device. Raises as `segmentor.load`."""
        from evaluation.maps import segmentor

        return self.segmentor_of(segmentor.usual(self.base.capabilities.embedded))

    def segmentor_of(self, ref: str) -> Segmentor:
        """A segmentor by its name. Raises as `segmentor.load`."""
        from evaluation.maps import segmentor

        if self._segmentor is None or self._segmentor[0] != ref:
            self._segmentor = None
            self._segmentor = ref, segmentor.load(ref, self.data, saves.device())
        return self._segmentor[1]

    def pictures(self, request: DrawRequest, tell: Callable[[float], None]) -> Iterator[tuple[str, dict, Image.Image]]:
        """Draw a request that `open` was called with: file name, facts and picture, each as soon as it is done.

        Args:
            tell: called after each sampler step with the pictures done, the one at work as a fraction; what it raises
                ends the drawing.
        """
        earlier, self._base_pictures = self._base_pictures, {}
        alike = request.model_copy(update={"run": None, "step": None, "adapter": None, "strength": 0.0, "count": 1})
        done = 0
        for start in range(0, request.count, BATCH):
            seeds = range(request.seed + start, request.seed + min(start + BATCH, request.count))
            for kind in ("adapter", "base") if request.with_base else ("adapter" if request.adapted else "base",):
                kept = earlier.get((seeds, alike)) if kind == "base" else None
                images = kept or self._drawn(request, kind, seeds, lambda n, before=done: tell(before + n))
                if kind == "base":
                    self._base_pictures[seeds, alike] = images
                for i, image in enumerate(images):
                    yield f"{kind}-{start + i:02d}.png", self._facts(request, kind, seeds[i], image), image
                done += len(images)

    def close(self) -> None:
        """Take everything off the device."""
        self._take_off()
        self.base = self.steering = self._steered = self._segmentor = self._labels = None
        self._base_pictures = {}
        release(torch.device(saves.device()))

    def _drawn(self, request: DrawRequest, kind: str, seeds: range, tell: Callable[[float], None]) -> list[Image.Image]:
        """One batch, in halves where memory runs out."""
        settings = request.model_dump(include={"steps", "guidance", "negative", "size", "sampler"})
        settings["strength"] = request.strength if kind == "adapter" else 0.0
        settings |= {"adapter": self.adapter, "batch": len(seeds), "progress": lambda done, _: tell(done)}
        try:
            if self.steering is None:
                return sample.generate(self.base, [request.prompt], seeds, **settings)
            settings.pop("size")  # the map has the pictures' size
            wishes = following.wishes(self._labels, [request.prompt], seeds)
            return drawing.draw(self.base, self.steering, wishes, **settings)
        except Exception as error:
            if len(seeds) == 1 or not is_out_of_memory(error):
                raise
        release(self.base.unet.device)  # outside the except block, whose traceback holds the activations
        half = len(seeds) // 2
        first = self._drawn(request, kind, seeds[:half], tell)
        return first + self._drawn(request, kind, seeds[half:], lambda done: tell(half + done))

    def _facts(self, request: DrawRequest, kind: str, seed: int, image: Image.Image) -> dict:
        """What a picture carries about itself."""
        settings = request.model_dump(include={"prompt", "negative", "steps", "guidance", "sampler"})
        facts = {**settings, "seed": seed, "size": image.width, "base": self.base.name, "strength": 0.0}
        if request.map:
            facts |= {**self._control_facts, "control_scale": request.control_scale, "map": request.map}
        if kind == "adapter":
            facts |= {"strength": request.strength, **self._source.facts_on(self.base.ref)}
        return facts

    def _take_off(self) -> None:
        if self.adapter is not None:
            self.adapter.detach()
        self.adapter = self._source = None


def _source(data: Path, request: DrawRequest) -> Source | None:
    """What a completed request draws with; None for the base model alone."""
    if request.run:
        return sources.of_run(data, request.run, request.step)
    return sources.of_imported(data, request.adapter) if request.adapter else None
