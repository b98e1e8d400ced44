"""How far it moved: each layer's distance from its pretrained weight, the guaranteed limit and the usual reach."""

from __future__ import annotations

from app import words
from app.web.parts.run.scores import SIZE
from app.web.reading.follow import RunView
from evaluation import curves
from evaluation.plots import line_plot
from training.spec import RunSpec

TITLE = "Distance limit (DeLoRA's bound, lambda)"
INDEPENDENT = ("delora", "lora-normalised")  # whose usual reach is the limit over the square root of r


def section(view: RunView) -> str:
    """The plot, the furthest layer's share of its limit, and what the limit means."""
    geometry = view.journal.geometry
    head = '<h2 id="ds-distance">How far it moved</h2>'
    if not geometry:
        told = "Nothing was measured." if view.state.ended else "The first measurement comes with the first step."
        return f'<section aria-labelledby="ds-distance">{head}{words.paragraph(told)}</section>'
    reach = curves.REACH if view.spec.adapter.method in INDEPENDENT else "usual reach"
    drawn = curves.distances(geometry, reach)
    plot = line_plot(drawn, title="Distance from the base model", y_label="distance / ‖W‖", showing=(0.0,), **SIZE)
    told = words.paragraph(furthest_words(view), "ds-advice") + words.paragraph(lambda_words(view))
    body = f'<div class="ds-plots"><figure>{plot}</figure><div>{told}{limit(view)}</div></div>'
    return f'<section aria-labelledby="ds-distance">{head}{body}</section>'


def limit(view: RunView) -> str:
    """What the limit means, folded."""
    return words.folded(TITLE, "".join(map(words.paragraph, limit_words(view))), "ds-limit")


def furthest_words(view: RunView) -> str:
    """The furthest layer's share of its limit in one sentence."""
    share = curves.furthest(view.journal.geometry)
    if share is None:
        return f"{words.method(view.spec.adapter.method)} has no limit."
    name = curves.furthest_layer(view.journal.geometry)
    return f"Furthest layer: {share:.0f} % of its limit. It is {name.removesuffix('.0')}."


def lambda_words(view: RunView) -> str:
    """What the layers' lambdas are now; empty for a method without one."""
    layers = view.journal.geometry[-1]["layers"].values()
    sizes = [abs(layer["lambda"]) for layer in layers if layer["lambda"] is not None]
    start = getattr(view.spec.adapter, "lambda_", None)
    if not sizes or start is None:
        return ""
    ceiling = view.spec.adapter.lambda_max
    never = f", never beyond {ceiling:g}" if ceiling else ""
    return f"Lambda: {start:g} at the start, {min(sizes):.3g} to {max(sizes):.3g} now{never}."


def limit_words(view: RunView) -> list[str]:
    """What the limit is, as it holds for the method and the start in use; a paragraph each."""
    spec, geometry = view.spec, view.journal.geometry
    layers = geometry[-1]["layers"]
    moves = f"Training moves {words.counted(len(layers), 'layer')} away from the base model."
    if curves.furthest(geometry) is None:
        return [f"{moves} {words.method(spec.adapter.method)} has no line that they cannot go past; DeLoRA has one."]
    told = (
        f"{moves} No layer can go past its own limit. Drawn are the path and the limit of the layer that is nearest to "
        "its limit now; at the next measurement that may be another one. LoRA has no such line. Staying close keeps "
        "what the base model can already draw; too close, and it cannot learn your subject. It is a limit, not a mark "
        "for quality."
    )
    return [told, hold_words(spec), formula(spec)]


def hold_words(spec: RunSpec) -> str:
    """Whether the line itself can move."""
    if hasattr(spec.adapter, "lambda_") and spec.adapter.lambda_max is None:
        return "The limit is learned too, so the line can move; 'never beyond' (lambda_max) gives it a ceiling."
    return "It holds at any learning rate and after any number of steps."


def formula(spec: RunSpec) -> str:
    """The bound that is drawn, in the paper's letters."""
    adapter = spec.adapter
    if adapter.method not in INDEPENDENT:
        return ""
    lambdas = "|λ|" if adapter.init == "zero" else "(|λ| + |λ₀|)"
    start = "the zero start" if adapter.init == "zero" else "the frozen-copy start (Eq. 9), whose own part counts too"
    norm = {"delora": " · maxⱼ ‖wⱼ‖ / ‖W‖", "lora-normalised": " / ‖W‖"}[adapter.method]
    if getattr(adapter, "weight_norm", "") == "frobenius":
        norm = ""
    rank = adapter.rank
    return (
        f"Drawn: ‖ΔW‖ / ‖W‖ ≤ {lambdas}{norm}, for {start}. Usual reach: {rank} independent directions end near "
        f"1/√{rank} of it."
    )
