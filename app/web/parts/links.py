"""Addresses of pages and of the app's own read-only routes, percent-encoded.

None begins with a slash: all pages lie side by side, so that an address leads there from each of them, also where a
proxy has put a path before them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

NEW, RUNS, COMPARE, GENERATE, COMPUTER = "./", "runs", "compare", "generate", "computer"  # the pages in the navigation


def run(run_id: str) -> str:
    """The page of a run."""
    return f"run?id={_part(run_id)}"


def compare(run_ids: Sequence[str]) -> str:
    """The page that compares runs."""
    return f"compare?ids={','.join(map(_part, run_ids))}"


def comparison(comparison_id: str) -> str:
    """The page of a comparison."""
    return f"{COMPARE}?id={_part(comparison_id)}"


def comparison_file(comparison_id: str, kind: str) -> str:
    """A download of a comparison: as "html" or "png"."""
    return f"studio/comparison/{_part(comparison_id)}/{kind}"


def generate(run_id: str, step: int | None = None) -> str:
    """The page that draws with a run: with its save at `step`, or with the recommended one."""
    return f"generate?run={_part(run_id)}" + ("" if step is None else f"&step={step}")


def generate_imported(slug: str) -> str:
    """The page that draws with an imported adapter."""
    return f"generate?adapter={_part(slug)}"


def picture(run_id: str, step: int, file: str) -> str:
    """A picture drawn at `step`; step 0 is the base model."""
    return f"studio/picture/{_part(run_id)}/step-{step:06d}/{_part(file)}"


def subject(run_id: str, file: str) -> str:
    """One of the subject's own pictures."""
    return f"studio/picture/{_part(run_id)}/dataset/{_part(file)}"


def held_out(run_id: str, file: str) -> str:
    """A held-out picture of a run of maps."""
    return f"studio/picture/{_part(run_id)}/held-out/{_part(file)}"


def held_map(run_id: str, file: str) -> str:
    """The map of a held-out picture, in ADE20K's colours. file: the picture's."""
    return f"studio/map/{_part(run_id)}/{_part(file)}"


def export(run_id: str, name: str) -> str:
    """A download from the run's adapter folder."""
    return f"studio/file/{_part(run_id)}/{_part(name)}"


def save(run_id: str, step: int) -> str:
    """A download of the adapter of a save."""
    return f"studio/save/{_part(run_id)}/{step}"


def draft(file: str) -> str:
    """A thumbnail of the page New."""
    return f"studio/draft/{_part(file)}"


def pair(part: str, place: int, version: str, grey: str = "") -> str:
    """What a pair of the page New looks like. grey: as what its grey map is to be read, for once."""
    asked = f"?grey={_part(grey)}" if grey else ""
    return f"studio/pair/{_part(part)}/{place}/{_part(version)}.png{asked}"


def drawing(drawing_id: str, file: str) -> str:
    """A finished picture of the Generate page."""
    return f"studio/drawing/{_part(drawing_id)}/{_part(file)}"


def _part(text: str) -> str:
    return quote(text, safe="")
