"""What the page "This computer" says: device and who holds it, worker, findings of the doctor, models."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from app import devices, downloads, workerfile
from training import catalog, models

SIGNS = {
    "good": ("✓", "ds-good", "good"),
    "note": ("i", "ds-warn", "worth knowing"),
    "bad": ("✗", "ds-error", "missing"),
}


def work(data: Path) -> str:
    """Worker and device: who is there, who holds what."""
    worker = workerfile.read(data)
    if worker.working:
        since = time.strftime("%a %H:%M", time.localtime(worker.since)) if worker.since else "now"
        words = f"At work since {since} (process {worker.pid})."
    else:
        button = "<button type='button' class='ds-button' data-start-worker>Start it</button>"
        words = f"Nothing is working on the queue. {button} or run <code>delora worker</code>."
    holder = devices.holder(data)
    device = f"Held by {escape(holder)}." if holder else "Free."
    return (
        "<h2>Work</h2><dl class='ds-pairs'>"
        f"<dt>Worker</dt><dd>{words}</dd><dt>Device</dt><dd>{device}</dd><dt>Data folder</dt>"
        f"<dd><code>{escape(str(data))}</code></dd></dl>"
    )


def findings(found: list[dict] | None, asking: bool) -> str:
    """What `delora doctor` found."""
    if found is None:
        return "<h2>What this computer has</h2><p class='ds-quiet'>Looking at this computer …</p>"
    rows = []
    for finding in found:
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
    here = {model.name: model for model in models.installed(data)}
    rows = []
    for model in here.values():
        known = catalog.CATALOG.get(model.name)
        rows.append(
            {
                "name": model.name,
                "words": model.problem or model.words,
                "licence": known.licence if known else model.licence,
                "state": "problem" if model.problem else "here",
                "actions": [] if model.name == "embedded" else ["remove"],
            }
        )
    for known in catalog.CATALOG.values():
        if known.name in here:
            continue
        download = downloads.read(data, known.name)
        begun = catalog.incoming(data, known.name).is_dir()
        row = {
            "name": known.name,
            "words": f"{known.title}, {known.size_mb:,} MB to download.",
            "licence": known.licence,
        }
        if download.running:
            row |= {"state": "downloading", "done": download.done, "total": download.total, "actions": ["stop"]}
        else:
            row |= {"state": "absent", "actions": ["resume", "remove"] if begun else ["download"]}
            row["words"] += f" {download.words}" if download.words else ""
        rows.append(row)
    return rows


LABELS = {"download": "Download", "resume": "Go on downloading", "stop": "Stop", "remove": "Remove"}
STATES = {"here": "on this computer", "absent": "not here", "downloading": "downloading", "problem": "cannot be used"}


def model_list(rows: list[dict]) -> str:
    """The models as a list with their buttons (`data-model`, `data-act`)."""
    items = []
    for row in rows:
        buttons = "".join(
            f"<button type='button' class='ds-button' data-act='{act}' data-model='{escape(row['name'])}' "
            f"aria-label='{LABELS[act]} {escape(row['name'])}'>{LABELS[act]}</button>"
            for act in row["actions"]
        )
        bar = ""
        if row["state"] == "downloading":
            share = 100 * row["done"] / row["total"] if row["total"] else 0
            told = f"{row['done'] / 1e6:,.0f} of {row['total'] / 1e6:,.0f} MB" if row["total"] else "asking the hub"
            bar = (
                f"<progress max='100' value='{share:.1f}' aria-label='{escape(row['name'])}'></progress>"
                f"<span class='ds-quiet'>{told}</span>"
            )
        colour = {"here": "ds-good", "problem": "ds-error"}.get(row["state"], "ds-quiet")
        items.append(
            f"<li><div><b>{escape(row['name'])}</b> <span class='{colour}'>{STATES[row['state']]}</span><br>"
            f"{escape(row['words'])}<br><span class='ds-quiet'>Licence: {escape(row['licence'] or 'its own')}</span>"
            f"</div><div class='ds-row'>{bar}{buttons}</div></li>"
        )
    return f"<h2>Models</h2><ul class='ds-models'>{''.join(items)}</ul>"
