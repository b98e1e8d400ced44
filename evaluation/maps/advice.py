"""Which save of a run of maps to take, and whether training has made it worse: by mIoU beside the base.

The rule: among the saves that follow their maps better than the base, beyond what chance explains (the bootstrap
interval of the gain lies above 0), the one with the highest mIoU. Later ones between which and it the maps cannot tell
are named beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.maps.agreement import Areas
from evaluation.recommend import Recommendation

TASTE = "It is a measurement, not taste: take another if you like its pictures better."


@dataclass(frozen=True)
class _Save:
    """A save. miou: the figure that is judged by. gain, low, high: over the base, and its interval. All from 0 to 1."""

    step: int
    areas: Areas
    miou: float
    gain: float
    low: float
    high: float


def recommend(saves: Mapping[int, Areas], base: Areas, first_save: int = 0) -> Recommendation:
    """Apply the rule.

    Args:
        saves: step -> what was counted of that save's pictures. base: of those without the adapter, on the same maps
            and seeds.
        first_save: the step at which the first scores will come, for the words while waiting.
    """
    if not saves:
        return Recommendation(None, f"No recommendation yet; the first scores come at step {first_save}.")
    figure = base.scores().headline
    told = [
        _Save(step, areas, getattr(areas.scores(), figure), *areas.gain(base, figure))
        for step, areas in sorted(saves.items())
    ]
    best = max(told, key=lambda save: save.miou)
    end = _worse(told)
    better = [save for save in told if save.low > 0]
    if not better:
        most = (
            f"No save follows its maps better than the base does, beyond what chance explains (step {best.step} comes "
            f"nearest: {_points(best)}). Train longer, or with more pairs."
        )
        return Recommendation(None, most, instead=best.step, because="highest mIoU", **end)
    best = max(better, key=lambda save: save.miou)
    near = [save for save in better if save.step != best.step and _as_good(save, best, figure)]
    ties = tuple(save.step for save in near)
    words = (
        f"Recommended: step {best.step}. Its pictures follow the held-out maps best: mIoU {100 * best.miou:.1f} %, "
        f"{_points(best)}. "
    )
    if ties:
        named = ", ".join(map(str, ties))
        words += f"Step{'s' if len(ties) > 1 else ''} {named} cannot be told from it on these maps. "
    return Recommendation(best.step, words + TASTE, ties, **end)


def _as_good(save: _Save, best: _Save, figure: str) -> bool:
    """Whether chance explains by how much the best save is above this one."""
    _, low, _ = best.areas.gain(save.areas, figure)
    return low <= 0


def _worse(told: list[_Save]) -> dict:
    """`collapsed`, `last_good` and `warning` where the newest saves follow their maps less than the base does."""
    first = None
    for save in reversed(told):
        if save.high >= 0:
            break
        first = save
    if first is None:
        return {}
    good = [save.step for save in told if save.step < first.step and save.low > 0]
    words = f"Training made it worse: since step {first.step} pictures follow their maps less than the base's do. "
    words += f"It was last good at step {good[-1]}." if good else "No save before was good: use a lower learning rate."
    return {"collapsed": first.step, "last_good": good[-1] if good else None, "warning": words}


def _points(save: _Save) -> str:
    return f"{100 * save.gain:+.1f} points over the base, 95 % interval {100 * save.low:+.1f} to {100 * save.high:+.1f}"
