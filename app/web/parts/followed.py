"""HTML of maps on the page Generate: how one was read, what goes onto the canvas, and how well pictures follow it."""

from __future__ import annotations

import json
import secrets
from html import escape
from typing import TYPE_CHECKING

from app import words
from app.orders import agreeing, following
from app.orders.drawings import Drawing
from app.orders.order import Order
from app.web.parts import labels as texts
from app.web.parts import links
from training.errors import StudioError
from training.maps import classes

if TYPE_CHECKING:
    import numpy as np

    from app.orders.agreeing import Judged, PictureScores
    from training.maps.problem import Problem
    from training.maps.reading import Reading

CANVAS = "<ds-canvas></ds-canvas>"
MOST_NAMED = 8  # classes
ANSWERS = {  # kind of problem -> (which of `reading.Answers`, its value, the button)
    "which numbers": (("grey", "0-150", "0-150: 0 is other"), ("grey", "0-149", "0-149: 255 is ignored")),
    "road or skyscraper": (("shared", "road", "It is road"), ("shared", "skyscraper", "It is skyscraper")),
    "unknown colours": (("nearest", "yes", "Take the nearest classes"),),
}


def known_classes() -> list[dict]:
    """The 150 classes as the page's scripts have them."""
    return [
        {"index": one.index, "name": one.name, "synonyms": one.synonyms, "colour": one.colour}
        for one in classes.CLASSES
    ]


def arrived(labels: np.ndarray, key: str = "") -> str:
    """A map (edge, edge) for the canvas, which takes each `key` once; "" makes a new one."""
    key = escape(key or secrets.token_hex(8), quote=True)
    return f'<ds-arrived labels="{texts.encode(labels)}" key="{key}"></ds-arrived>'


def edge(pixels: int) -> str:
    """The edge of the pictures, for what is begun anew on the canvas."""
    return f'<ds-edge value="{pixels}"></ds-edge>'


def read_as(found: Reading) -> str:
    """How a map file was read, what is in it, and what is wrong with it or asked about it, with a button an answer."""
    told = []
    if found.way:
        told.append(f"<p role='status'>{escape(found.path.name)} is read as {escape(found.way)}.")
        if found.counts is not None:
            told.append(f" {_shares(found)}")
            if found.usable:
                told.append(f" {_cut(found)}")
        told.append("</p>")
    return "".join(told) + "".join(_problem(found.path.name, problem) for problem in found.problems)


def standing(order: Order | None) -> str:
    """How the map of a picture comes along."""
    if order is None:
        return ""
    if fault := order.fault():
        return words.failure(f"This map cannot be read. {fault}", order.AGAIN)
    state = order.state()
    if state.name == "failed":
        return words.failure(state.message, state.remedy)
    if not state.ended:
        told = {"queued": "Waits for the worker.", "waiting": state.waits_for}.get(state.name) or state.message
        return f"<p role='status'>{escape(told or 'Waits for the device.')}</p>"
    if state.name == "stopped":
        return f"<p>{escape(state.message or 'Stopped.')}</p>"
    name = order.request().name
    return (
        f"<p role='status'>What the segmentor saw in {escape(name)} is on the canvas. Correct it where it is wrong.</p>"
    )


def result(drawing: Drawing | None, chosen: int = 0) -> str:
    """The map beside the chosen picture, what the segmentor saw in that, and how well the two agree."""
    if drawing is None or not drawing.request().map or not (pictures := drawing.pictures()):
        return ""
    path = pictures[min(chosen, len(pictures) - 1)]
    judged = agreeing.read(drawing)
    scores = judged.pictures.get(path.name) if judged else None
    attributes = {"map": texts.encode(drawing.labels()), "picture": links.drawing(drawing.id, path.name)}
    if scores:
        attributes["seen"] = texts.encode(following.read(agreeing.seen(drawing, path)))
        attributes["scores"] = json.dumps({one.index: round(one.iou, 4) for one in scores.classes})
    shown = " ".join(f'{name}="{escape(value, quote=True)}"' for name, value in attributes.items())
    downloads = "".join(
        f'<a class="ds-button ds-small" href="{links.drawing(drawing.id, file)}" download="{name}">{title}</a>'
        for file, name, title in (
            (following.MAP, "map-index.png", "Map as labels (index PNG)"),
            (following.PALETTE, "map-palette.png", "Map in ADE20K's colours (palette PNG)"),
        )
    )
    told = _agreement(judged, scores, len(pictures)) if judged and scores else _not_judged(drawing)
    figure = f"<h2>The map and the picture</h2><ds-followed {shown}></ds-followed>"
    return f'{figure}{told}<div class="ds-row">{downloads}</div>'


def missing(error: StudioError) -> str:
    """That a base model has nothing that would hold its pictures to a map, and how to get it."""
    remedy = f" {escape(error.on_page)}" if error.on_page else ""
    return f"<p role='status' class='ds-warn'>Pictures cannot follow a map here: {escape(error.message)}{remedy}</p>"


def unjudged(error: StudioError) -> str:
    """That no segmentor is there to look how well pictures follow their map, and how to get it."""
    remedy = f" {escape(error.on_page)}" if error.on_page else ""
    return f"<p class='ds-quiet'>Pictures are not compared with their map: {escape(error.message)}{remedy}</p>"


def _agreement(judged: Judged, scores: PictureScores, count: int) -> str:
    """Scores in words, and the table of all classes for those who point at nothing."""

    def figures(of: PictureScores) -> str:
        return f"mIoU {_percent(of.miou_present)} over the map's classes, pixel accuracy {_percent(of.pixel_accuracy)}"

    together = "" if count < 2 else f" All {count} pictures together: {figures(judged.together)}."
    rows = "".join(
        f"<tr><th scope='row'>{escape(one.name)}</th><td>{_percent(one.iou)}</td>"
        f"<td>{one.pixels if one.pixels else 'not on the map'}</td></tr>"
        for one in sorted(scores.classes, key=lambda one: -one.pixels)
    )
    table = (
        "<div class='ds-wide'><table class='ds-table'><thead><tr><th scope='col'>Class</th><th scope='col'>IoU</th>"
        f"<th scope='col'>Pixels on the map</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    name = escape(judged.judge.get("name", ""))
    agrees = f"<p>The picture agrees with the map: {figures(scores)}.{together}</p>"
    return (
        f"{agrees}<p class='ds-quiet'>Seen by the segmentor "
        f"{name}. With so few maps these are indications, and a score counts only beside others by the same segmentor."
        f"</p><details class='ds-folded' id='ds-each-class'><summary>Each class</summary>{table}</details>"
    )


def _not_judged(drawing: Drawing) -> str:
    if not drawing.state().ended:
        return "<p class='ds-quiet'>How well it follows the map is counted when all pictures are drawn.</p>"
    return "<p class='ds-quiet'>No segmentor was there to look how well it follows the map.</p>"


def _problem(name: str, problem: Problem) -> str:
    text = problem.words if name in problem.words or not problem.stops else f"{name}: {problem.words}"
    given = ANSWERS.get(problem.kind, ())
    offer = "" if given else f" {problem.offer}"
    buttons = "".join(
        f'<button type="button" class="ds-button ds-small" data-act="answer" data-name="{which}" data-answer="{value}" '
        f'data-keep="answer {value}">{title}</button>'
        for which, value, title in given
    )
    role, colour = ("alert", "ds-error") if problem.stops else ("status", "ds-warn")
    told = f"<p role='{role}' class='{colour}'>{escape(text + offer)}</p>"
    return told + (f'<div class="ds-row" role="group" aria-label="Answers">{buttons}</div>' if buttons else "")


def _shares(found: Reading) -> str:
    shares = found.shares()
    named = [f"{escape(classes.NAMES[i])} {_percent(share)}" for i, share in list(shares.items())[:MOST_NAMED]]
    more = [f"{len(shares) - MOST_NAMED} more"] if len(shares) > MOST_NAMED else []
    none = [f"no class {_percent(found.ignored)}"] if found.ignored else []
    return ", ".join([*named, *more, *none]) + "." if shares else "No pixel of it has a class."


def _cut(found: Reading) -> str:
    width, height = found.size
    part = "It" if width == height else f"The middle square of its {width} x {height} pixels"
    return f"{part} is on the canvas, at the size of the pictures."


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
