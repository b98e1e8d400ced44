"""What the page "This computer" says: device and who holds it, worker, findings of the doctor, models."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from app.computer import downloads
from app.computer.doctor import DOWNLOADS, MODELS
from app.work import devices, workerfile
from training.base import catalog, models

SIGNS = {
    "good": ("✓", "ds-good", "good"),
    "note": ("i", "ds-warn", "worth knowing"),
    "bad": ("✗", "ds-error", "missing"),
}
LABELS = {
    "download": "Download",
    "resume": "Go on downloading",
    "stop": "Stop",
    "remove": "Delete",
    "forget": "Take off the list",
    "aside": "Put it aside",
}
QUESTIONS = {
    "remove": "Delete {} from this computer? It can be downloaded again.",
    "forget": "Take {} off the list? Its files stay where they are.",
    "aside": "Begin an empty list? The damaged one stays beside it under another name.",
}
STATES = {"here": "on this computer", "absent": "not here", "downloading": "downloading", "problem": "cannot be used"}
TOY = "Draws toy-like pictures, no photographs; learns in minutes, also without a graphics card."
UNUSED = "Nothing here uses it yet."


def work(data: Path, no_worker: str = "") -> str:
    """Worker and device: who is there, who holds what. no_worker: why there is none, where that is known."""
    worker = workerfile.read(data)
    if worker.working:
        since = time.strftime("%a %H:%M", time.localtime(worker.since)) if worker.since else "now"
        words = f"At work since {since} (process {worker.pid})."
    else:
        button = "<button type='button' class='ds-button' data-start-worker>Start it</button>"
        words = f"{escape(no_worker or 'Nothing is working on the queue.')} {button} or run <code>delora worker</code>."
    holder = devices.holder(data)
    device = f"Held by {escape(holder)}." if holder else "Free."
    return (
        "<h2>Work</h2><dl class='ds-pairs'>"
        f"<dt>Worker</dt><dd>{words}</dd><dt>Device</dt><dd>{device}</dd><dt>Data folder</dt>"
        f"<dd><code>{escape(str(data))}</code></dd></dl>"
    )


def findings(found: list[dict] | None, asking: bool) -> str:
    """What `delora doctor` found, but for the models that are well or can be had: the list above has these."""
    if found is None:
        return "<h2>What this computer has</h2><p class='ds-quiet'>Looking at this computer …</p>"
    rows = []
    for finding in found:
        if finding["topic"] in (MODELS, DOWNLOADS) and finding["level"] == "good":
            continue
        sign, colour, words = SIGNS[finding["level"]]
        remedy = f" <strong>{escape(finding['remedy'])}</strong>" if finding["remedy"] else ""
        rows.append(
            f"<li><span class='ds-sign {colour}' aria-hidden='true'>{sign}</span>"
            f"<span class='ds-hidden'>{words}: </span><span><b>{escape(finding['topic'])}.</b> "
            f"{escape(finding['words'])}{remedy}</span></li>"
        )
    note = "<p class='ds-quiet'>Looking again …</p>" if asking else ""
    return f"<h2>What this computer has</h2>{note}<ul class='ds-findings'>{''.join(rows)}</ul>"


def model_rows(data: Path) -> list[dict]:
    """Every model that is here or can be had: name, title, words, licence, state and actions."""
    here = models.installed(data)
    names = {model.name for model in here}
    return [
        *map(_here, here),
        *(
            _absent(data, known)
            for known in catalog.CATALOG.values()
            if known.name not in names and _wanted(data, known)
        ),
    ]


def _here(model: models.InstalledModel) -> dict:
    known = catalog.CATALOG.get(model.name)
    if known:
        purpose, actions = known.purpose or UNUSED, ["remove"]
    elif model.name == "embedded":
        purpose, actions = TOY, []
    elif not model.base:  # the list of one's own itself
        purpose, actions = "", ["aside"]
    else:
        purpose, actions = f"Your own, in {model.path}.", ["forget"]
    return {
        "name": model.name,
        "title": model.title,
        "words": model.problem or f"{purpose} {model.sizes[0].upper()}{model.sizes[1:]}",
        "licence": known.licence if known else model.licence,
        "state": "problem" if model.problem else "here",
        "actions": actions,
    }


def _absent(data: Path, known: catalog.Known) -> dict:
    download = downloads.read(data, known.name)
    row = {
        "name": known.name,
        "title": known.title,
        "words": f"{known.purpose or UNUSED} {known.size_mb:,} MB to download.",
        "licence": known.licence,
    }
    if download.running:
        return row | {"state": "downloading", "done": download.done, "total": download.total, "actions": ["stop"]}
    row["words"] += f" {download.words}" if download.words else ""
    return row | {"state": "absent", "actions": ["resume", "remove"] if _begun(data, known) else ["download"]}


def _wanted(data: Path, known: catalog.Known) -> bool:
    """Whether a model that is not here is shown: something uses it, or its download was begun."""
    return bool(known.purpose) or _begun(data, known) or downloads.read(data, known.name).running


def _begun(data: Path, known: catalog.Known) -> bool:
    return catalog.incoming(data, known.name).is_dir()


def model_list(rows: list[dict]) -> str:
    """The models as a list with their buttons (`data-model`, `data-act`, and `data-question` where one is asked)."""
    items = []
    for row in rows:
        title, buttons, bar = escape(row["title"]), "".join(_button(row, act) for act in row["actions"]), ""
        if row["state"] == "downloading":
            share = 100 * row["done"] / row["total"] if row["total"] else 0
            told = f"{row['done'] / 1e6:,.0f} of {row['total'] / 1e6:,.0f} MB" if row["total"] else "asking the hub"
            bar = (
                f"<progress max='100' value='{share:.1f}' aria-label='{title}'></progress>"
                f"<span class='ds-quiet'>{told}</span>"
            )
        colour = {"here": "ds-good", "problem": "ds-error"}.get(row["state"], "ds-quiet")
        items.append(
            f"<li><div><b>{title}</b> <span class='{colour}'>{STATES[row['state']]}</span><br>"
            f"{escape(row['words'])}<br><span class='ds-quiet'>Licence: {escape(row['licence'] or 'its own')}</span>"
            f"</div><div class='ds-row'>{bar}{buttons}</div></li>"
        )
    return f"<h2>Models</h2><ul class='ds-models'>{''.join(items)}</ul>"


def _button(row: dict, act: str) -> str:
    title, question = escape(row["title"]), escape(QUESTIONS.get(act, "").format(row["title"]))
    return (
        f"<button type='button' class='ds-button' data-act='{act}' data-model='{escape(row['name'])}' "
        f"data-question='{question}' aria-label='{LABELS[act]}: {title}'>{LABELS[act]}</button>"
    )
