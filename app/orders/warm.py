"""A base model and an adapter on it, kept between drawings: what makes the second drawing quick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app.adapters import saves, sources
from app.orders.request import DrawRequest
from training import sample
from training.step.memory import is_out_of_memory, release

if TYPE_CHECKING:
    from PIL import Image

    from app.adapters.sources import Source
    from delora import Adapter
    from training.base.models import BaseModel

BATCH = 4  # drawn at once: small, so that the first pictures come early


class Warm:
    """Draws requests one after another, loading only what the one before did not need."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self.base: BaseModel | None = None
        self.adapter: Adapter | None = None
        self._source: Source | None = None  # what `adapter` is of
        self._base_pictures: dict[tuple, list[Image.Image]] = {}  # those of the last request, for another strength

    def open(self, request: DrawRequest) -> None:
        """Load base model and adapter of a completed request. Raises as `models.load_base` and `Source.attach`."""
        if self.base is None or self.base.ref != request.base:
            self.close()
            self.base = saves.open_base(request.base, self.data)
        source = _source(self.data, request)
        if (source and source.facts) != (self._source and self._source.facts):
            self._take_off()
            if source is not None:
                self.adapter = source.attach(self.base, other_base=request.other_base)
                self._source = source

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
        if self.base is not None:
            device, self.base, self._base_pictures = self.base.unet.device, None, {}
            release(device)

    def _drawn(self, request: DrawRequest, kind: str, seeds: range, tell: Callable[[float], None]) -> list[Image.Image]:
        """One batch, in halves where memory runs out."""
        settings = request.model_dump(include={"steps", "guidance", "negative", "size", "sampler"})
        settings["strength"] = request.strength if kind == "adapter" else 0.0
        try:
            return sample.generate(
                self.base,
                [request.prompt],
                seeds,
                adapter=self.adapter,
                batch=len(seeds),
                progress=lambda done, _: tell(done),
                **settings,
            )
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
