"""What pictures can be drawn with: a save of a run, an imported adapter, or a native adapter file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters import imported, saves
from app.adapters.imported import FILE
from app.adapters.names import slug
from training.errors import BadInput
from training.runs.run import Run
from training.runs.rundir import open_run

LARGEST_STRENGTH = 10
OTHER_BASE = (
    "Name the base model it was made for with --base; if this one is a finetune of it, add --other-base to draw all "
    "the same."
)
NO_FINETUNE = "Choose a base model that is a finetune of {base}, or {base} itself."


@dataclass(frozen=True)
class Source:
    """One adapter by where it lies.

    Attributes:
        base: the base model it was made on. trigger: the words that call its subject, "" where none are known.
        title: what a person calls it. facts: what a picture's settings say of it, alike for the same adapter only. run,
        step: set for a run's save; path: set for a file.
    """

    base: str
    trigger: str
    title: str
    facts: dict[str, Any]
    run: Run | None = None
    step: int | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """A short name for files."""
        if self.run is not None:
            return slug(self.run.spec.name)
        return slug(self.path.parent.name if self.path.name == FILE else self.path.stem)

    def facts_on(self, base: str) -> dict[str, Any]:
        """The facts, and where it draws on another base model than its own, which one that was."""
        return self.facts if base == self.base else {**self.facts, "made_for": self.base}

    def attach(self, base, name: str = "default", *, other_base: bool = False):
        """The adapter, attached to a `BaseModel`; with `other_base` also to a finetune of the one it was made for.

        Raises BadInput where it is damaged or made for another model.
        """
        if self.run is not None:
            try:
                return saves.open_save(self.run, base, self.step, name, check_base=not other_base)
            except BadInput as error:
                if base.ref == self.base:
                    raise
                raise BadInput(error.message, self._other(other_base), "base") from error
        import delora

        try:
            return delora.load(base.unet, self.path, name=name, check_base=not other_base).to(base.unet.device)
        except ValueError as error:
            remedy = self._other(other_base)
            if base.ref == self.base:
                remedy = f"{self.base} is another model than it was: import the file again for the model that it fits."
            raise BadInput(str(error), remedy, field="adapter") from error

    def _other(self, accepted: bool) -> str:
        """What to do where it does not draw on another base model than its own, though that was accepted or not."""
        return NO_FINETUNE.format(base=self.base) if accepted else OTHER_BASE


def of_run(data: Path, run_id: str, step: int | None = None) -> Source:
    """A save of a run: the recommended one, or else the last. Raises BadInput where there is no such run or save."""
    run = open_run(data, run_id)
    step = saves.best_step(run) if step is None else step
    saves.check_step(run, step)
    return Source(run.spec.base, run.spec.subject, run.name, {"run": run.id, "step": step}, run=run, step=step)


def of_imported(data: Path, ref: str) -> Source:
    """An imported adapter by its name, which is never a path. Raises BadInput where there is none."""
    known = imported.find(data, ref)
    if known is None or not imported.path_of(data, known).is_file():
        raise BadInput(
            f"There is no imported adapter {ref!r}.", "Choose another one; it may have been removed.", field="adapter"
        )
    path = imported.path_of(data, known)
    return Source(known.base, known.trigger, known.name, {"adapter": known.slug}, path=path)


def of_adapter(data: Path, ref: str) -> Source:
    """An imported adapter by its name, or a native file by its path. Raises BadInput where it is neither."""
    if imported.find(data, ref):
        return of_imported(data, ref)
    path = Path(ref)
    if not path.is_file():
        raise BadInput(
            f"There is no imported adapter and no file {ref!r}.", "See `delora import --list`.", field="adapter"
        )
    from delora.files import read_header

    try:
        header = read_header(path)
    except ValueError as error:
        raise BadInput(str(error), "`delora import` reads LoRA files of other programs.", field="adapter") from error
    base, trigger = header.get("base", "embedded"), header.get("trigger", "")
    return Source(base, trigger, path.stem, {"adapter": path.name}, path=path)


def find(data: Path, ref: str) -> Source:
    """A run's recommended save, an imported adapter, or a native file. Raises BadInput where it is none of them."""
    if (data / "runs" / ref / "spec.json").is_file():
        return of_run(data, ref)
    try:
        return of_adapter(data, ref)
    except BadInput as error:
        if Path(ref).is_file():
            raise
        raise BadInput(
            f"There is no run, no imported adapter and no file {ref!r}.",
            "See `delora runs list` and `delora import --list`.",
            field="also",
        ) from error


def check_strength(strength: float, what: str = "The strength", field: str = "strength") -> None:
    """Raises BadInput where it is no number that an adapter draws at."""
    if not abs(strength) <= LARGEST_STRENGTH:  # nan is not, either
        remedy = "1 is as trained, 0 the base model."
        raise BadInput(f"{what} must be a number from {-LARGEST_STRENGTH} to {LARGEST_STRENGTH}.", remedy, field=field)


def with_strength(text: str) -> tuple[str, float]:
    """ "REF:0.5" -> ("REF", 0.5); without a number the strength is 1. Raises BadInput as `check_strength`."""
    ref, colon, number = text.rpartition(":")
    try:
        strength = float(number) if colon and ref else 1.0
    except ValueError:
        return text, 1.0
    check_strength(strength, f"{text}: its strength", "also")
    return (ref, strength) if colon and ref else (text, strength)
