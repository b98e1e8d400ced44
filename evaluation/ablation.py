"""The paper's ablation (Tables 1 and 2): from LoRA and from ETHER+ to DeLoRA one change at a time, in one table.

Every row is a run, or one a subject, in the study's own data folder. Started again after an interruption, the study
goes on where it was: finished runs are read, an unfinished one is resumed. The last save of each run counts (no best of
several). The paper's figures stand beside ours only where base model, judges, protocol and data are the paper's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evaluation import frechet, samplesubjects, subject_table, tasks
from evaluation.figures import FIGURES
from evaluation.maps import sheet
from evaluation.maps.gathering import sample_set
from evaluation.papertables import PAPER, VARIANTS
from evaluation.study import Runs, finish
from evaluation.tasks.task import Given
from training import presets
from training.adapterspec import METHODS
from training.atomic import write_text
from training.base import models
from training.errors import BadInput
from training.runs import rundir
from training.runs.run import Run
from training.step.adapting import attach

NOT_COMPARED = "The paper's figures are not shown: it had {paper}, and this study {ours}."


@dataclass(frozen=True)
class Ablation:
    """A study.

    Attributes:
        folder: where it lies. models: the data folder that its models come from. changes: settings instead of the
            preset's. pairs: of maps, the folder or zip of them. subjects: how many of the sample subjects.
    """

    folder: Path
    models: Path
    task: str
    methods: tuple[str, ...]
    base: str = "embedded"
    effort: str = "quick"
    changes: Mapping[str, Any] = field(default_factory=dict)
    pairs: Path | None = None
    subjects: int = 2

    def __post_init__(self):
        for method in self.methods:
            if method not in METHODS:
                words = f"There is no method {method!r}."
                raise BadInput(words, f"Choose among {', '.join(VARIANTS)}.", "methods")

    @property
    def runs(self) -> Runs:
        """Its runs."""
        return Runs(self.folder)


def rows_of(task: str) -> tuple[str, ...]:
    """The methods of the paper's table of a task."""
    return tuple(key for key, variant in VARIANTS.items() if task == "dreambooth" or variant.maps)


class Measured(NamedTuple):
    """What a study found: rows by method (and "base", "real"), what it was made with, and a sentence about that."""

    rows: dict[str, dict[str, Any]]
    setting: dict[str, Any]
    note: str


def run(study: Ablation, tell: Callable[[str, int, int], None] = lambda what, done, total: None) -> tuple[dict, str]:
    """Make or go on with a study; returns its document and table, which it also keeps in its folder.

    tell: called with (what is at work, rows done, rows in all).
    Raises BadInput and MissingModel before anything is made, Stopped and RunFailed as `evaluation.study.finish`.
    """
    study.folder.mkdir(parents=True, exist_ok=True)
    base = models.load_base(study.base, data=study.models)
    measured = {"maps": _maps, "dreambooth": _subjects}[study.task](study, base, tell)
    document = {"task": study.task, "setting": measured.setting, "rows": measured.rows, "note": measured.note}
    document["comparable"] = comparable(study.task, measured.setting)
    text = table(document)
    write_text(study.folder / "table.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_text(study.folder / "table.md", text)
    return document, text


def comparable(task: str, setting: Mapping[str, Any]) -> bool:
    """Whether a study was made as the paper's, so that its figures may stand beside."""
    return all(setting.get(key) == value for key, value in PAPER[task].items())


def table(document: Mapping[str, Any]) -> str:
    """A study's document as a markdown table, and what must be known about it."""
    task, rows = document["task"], document["rows"]
    beside = PAPER_HEADINGS[task] if document["comparable"] else ()
    headings = ("variant", "ΔW", *HEADINGS[task], *beside)
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for key, told in rows.items():
        variant = VARIANTS.get(key)
        cells = [variant.name if variant else key, variant.update if variant else "", *CELLS[task](told)]
        if beside:
            published = (variant.subject if task == "dreambooth" else variant.maps) if variant else None
            cells += [f"{value:g}" for value in published] if published else [""] * len(beside)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", document["note"]]
    if not document["comparable"]:
        ours = {key: document["setting"].get(key) for key in PAPER[task]}
        lines.append(NOT_COMPARED.format(paper=_listed(PAPER[task]), ours=_listed(ours)))
    return "\n".join(lines) + "\n"


def _listed(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in setting.items())


# Pictures from maps (Table 2)


def _maps(study: Ablation, base, tell) -> Measured:
    found, saves = {}, {}
    for i, method in enumerate(study.methods):
        tell(method, i, len(study.methods))
        made = study.runs.get(method, lambda method=method: _run_of_maps(study, base, method))
        finish(made, base, study.models)
        scores = made.scores()
        save = scores["saves"][str(made.spec.steps)]
        found[method] = {**_plain(save), "trained": _trained(made, base), "run": made.id}
        saves[method] = (made, made.spec.steps)
    rows = {"no adapter": _plain(scores["base"]), **found, "real pictures": _plain(scores["real"])}
    sheet.sheet({VARIANTS[m].name if m in VARIANTS else m: save for m, save in saves.items()}).save(
        study.folder / "sheet.png"
    )
    setting = {
        "base": study.base,
        "protocol": scores["protocol"],
        "segmentor": scores["segmentor"]["name"],
        "maps": scores["maps"],
        "steps": made.spec.steps,
        "pairs": len(made.pictures()),
    }
    return Measured(rows, setting, f"Protocol {scores['protocol']}, {made.spec.steps} steps. {scores['note']}")


def _run_of_maps(study: Ablation, base, method: str) -> Run:
    """A new run; all runs of a study are made of the same pairs, which the first one takes in."""
    caps = base.capabilities
    kind = "embedded" if caps.embedded else "sd"
    own = {"task": "maps", "name": method, "base": study.base}
    spec = presets.make_spec(kind, method, study.effort, **presets.merged(own, study.changes))
    spec = spec.model_copy(update={"save_every": spec.steps})
    task, folder = tasks.of(spec), study.folder / "pairs"
    kept = {name: folder / name for name in rundir.DATA}
    if all(path.is_dir() for path in kept.values()):
        judged = len(list(kept["held-out"].glob("*.map.png")))
        spec = spec.model_copy(update={"held_out": judged})
    else:
        folder.mkdir(exist_ok=True)
        count = study.changes.get("held_out")
        given = Given([study.pairs], count=count) if study.pairs else sample_set(count)
        spec = task.gather(given, spec, spec.resolution or caps.size_px, folder).spec
    task.check(spec, base, study.models)
    return rundir.create(study.runs.data, spec, kept)


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("headline", "interval", "gain", "pixel_accuracy", "frechet") if key in told}


def _map_cells(told: Mapping[str, Any]) -> list[str]:
    low, high = told["interval"]
    gain = told.get("gain")
    return [
        f"{told['trained']:,}" if "trained" in told else "",
        f"{100 * told['headline']:.1f} ({100 * low:.1f} to {100 * high:.1f})",
        f"{100 * gain[0]:+.1f} ({100 * gain[1]:+.1f} to {100 * gain[2]:+.1f})" if gain else "",
        f"{100 * told['pixel_accuracy']:.1f}",
        frechet.told(told),
    ]


# Subjects (Table 1)


def _subjects(study: Ablation, base, tell) -> Measured:
    chosen = samplesubjects.sample_subjects()[: study.subjects]
    apart = subject_table.Study(study.folder, study.base, study.methods, study.effort, dict(study.changes))
    entries, total = [], len(chosen) * len(study.methods)
    for i, subject in enumerate(chosen):
        tell(subject.name, i * len(study.methods), total)
        entries.append(subject_table.measure(apart, subject, base, study.models))
    mean = subject_table.means(entries, study.methods)
    trained = {m: _trained(apart.run_of(chosen[0], m), base) for m in study.methods}
    rows = {"base, class word alone": mean["base"]}
    rows |= {method: {**mean["methods"][method], "trained": trained[method]} for method in study.methods}
    rows["real pictures"] = mean["real"]
    judges = {kind: judge["name"] for kind, judge in entries[0]["encoders"].items()}
    seeds = len(subject_table.SEEDS)
    note = f"Means over {len(chosen)} subjects, {seeds} seeds in each of 4 places. Judges: {_listed(judges)}."
    return Measured(rows, {"base": study.base, "subjects": len(chosen), **judges}, note)


def _subject_cells(told: Mapping[str, Any]) -> list[str]:
    plain = [f"{told[key]:.3f}" if key in told else "" for key in ("dino", "clip_i", "clip_t")]
    percents = [told.get(figure.key) for figure in FIGURES]
    cells = [f"{told['trained']:,}" if "trained" in told else "", *plain]
    return cells + ["" if value is None else f"{value:.0f} %" for value in percents]


def _trained(run: Run, base) -> int:
    """How many numbers of the adapter are trained."""
    adapter = attach(base, run.spec)
    try:
        return adapter.num_trainable
    finally:
        adapter.detach()


HEADINGS: dict[str, Sequence[str]] = {
    "maps": (
        "numbers trained",
        "mIoU % (95 % interval)",
        "over no adapter, points",
        "pixel accuracy %",
        "Fréchet distance",
    ),
    "dreambooth": ("numbers trained", "DINO", "CLIP-I", "CLIP-T", *(figure.name for figure in FIGURES)),
}
PAPER_HEADINGS = {"maps": ("paper: mIoU", "accuracy", "FID"), "dreambooth": ("paper: DINO", "CLIP-I")}
CELLS = {"maps": _map_cells, "dreambooth": _subject_cells}
