"""What a comparison found: the sentence, a table of the saves to take with their files, curves and heat maps."""

from __future__ import annotations

from html import escape

from app import words
from app.adapters.formats import main_file
from app.web.parts import links
from app.web.parts.comparison.shown import Shown, Whole
from app.web.parts.run import compare
from evaluation import heatmap
from evaluation.curves import mean_of_layers
from evaluation.figures import FIGURES

COLLAPSED = "Not clean since"
SAME_SCALE = (
    "Distance of the merged weight from the base model's, ‖ΔW‖ / ‖W‖, mean of the layers in each place, at the last "
    "measurement of each column. All maps have one scale; down 0 is where the UNet begins, up is where it ends."
)


def sentence(whole: Whole) -> str:
    """What it found."""
    return f'<p class="ds-advice" id="ds-found">{escape(whole.sentence)}</p>'


def table(whole: Whole) -> str:
    """The recommended save of each column with its figures, and its file."""
    head = ("Column", "Take", *(figure.name for figure in FIGURES), COLLAPSED, "Moved", "File")
    rows = "".join(_row(column) for column in whole.columns)
    made = words.table("Recommended saves", head, rows, "ds-figured")
    return f'<section aria-labelledby="ds-take"><h2 id="ds-take">Recommended saves</h2>{made}{_notes(whole)}</section>'


def curves(whole: Whole) -> str:
    """The three figures and the distance against steps."""
    there = whole.there
    return compare.plots([c.view for c in there], [c.name for c in there]) if there else ""


def heat_maps(whole: Whole) -> str:
    """One map a column, all of one scale."""
    measured = [(column, column.view.journal.geometry[-1]) for column in whole.there if column.view.journal.geometry]
    made = [(column, event["step"], heatmap.cells(event)) for column, event in measured]
    blocks, most = heatmap.blocks([c for _, _, c in made]), max((v for *_, c in made for v in c.values()), default=0.0)
    if not blocks:
        return ""
    figures = "".join(
        f'<figure class="ds-heat"><figcaption>{escape(column.name)}, step {step}</figcaption>'
        f"{heatmap.heat_map(cells, blocks, most, f'{column.name}: how far each part of the UNet moved')}</figure>"
        for column, step, cells in made
    )
    return (
        '<section aria-labelledby="ds-heat"><h2 id="ds-heat">Where it moved</h2>'
        f'{words.paragraph(SAME_SCALE, "ds-meaning")}<div class="ds-heats" tabindex="0" role="region" '
        f'aria-label="Heat maps" data-keep="Heat maps">{figures}</div></section>'
    )


def _row(column: Shown) -> str:
    view, told = column.view, column.told
    best = told.best
    figures = "".join(f"<td>{words.percent(best and getattr(best, figure.key))}</td>" for figure in FIGURES)
    moved = mean_of_layers(view.journal.geometry, "distance") if view else ()
    cells = [
        f"step {told.advice.step}" if told.advice and told.advice.step else "–",
        figures,
        _collapsed(column),
        f"{moved[-1][1]:.3f}" if moved else "–",
        _file(column),
    ]
    take, figures, lost, far, file = cells
    return (
        f'<tr><th scope="row">{escape(column.name)}</th><td>{take}</td>{figures}<td>{lost}</td><td>{far}</td>'
        f"<td>{file}</td></tr>"
    )


def _collapsed(column: Shown) -> str:
    told = column.told
    if told.broken:
        return f"numbers broke down at step {told.broken}"
    return f"step {told.advice.collapsed}" if told.advice and told.advice.collapsed is not None else "–"


def _file(column: Shown) -> str:
    """The exported file of a finished run; before that the adapter of its recommended save, if there is one."""
    view = column.view
    if view and view.exports:
        name = main_file(view.exports)["name"]
        return _link(links.export(view.id, name), f"Download {name} of {column.name}", name)
    step = view and view.recommendation and view.recommendation.step
    if step and step in view.saves:
        label = f"Download the adapter of {column.name}, step {step}"
        return _link(links.save(view.id, step), label, f"adapter of step {step}")
    return "–"


def _link(address: str, label: str, shown: str) -> str:
    address, label = escape(address, quote=True), escape(label, quote=True)
    return f'<a class="ds-button ds-small" href="{address}" download="" aria-label="{label}">{escape(shown)}</a>'


def _notes(whole: Whole) -> str:
    """What the columns say of themselves, a line each: why one is taken, or why it failed."""
    lines = []
    for column in whole.there:
        advice, state = column.told.advice, column.view.state
        told = [advice.warning, advice.reason] if advice else []
        told += [state.message, state.remedy] if state.name in ("failed", "interrupted") else []
        if words_ := " ".join(filter(None, told)):
            lines.append(f"<li><b>{escape(column.name)}</b>: {escape(words_)}</li>")
    return words.folded("Why these", f"<ul>{''.join(lines)}</ul>", "ds-why") if lines else ""
