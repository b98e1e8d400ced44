"""The table of held-out subjects: base model, each method and the real pictures, four new places x four seeds each.

    python -m evaluation.subject_table --out results/subjects --subjects 8

Every (subject, method) is a run in the study's own data folder. Started again after an interruption, the study goes on
where it was: finished runs are read, an unfinished one is resumed. Class pictures and base pictures are drawn once for
each class and place. The last save of each run is scored (no best of several), in places that the subject's own
pictures do not show.
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from evaluation import samplesubjects
from evaluation.figures import FIGURES, LIKENESS
from evaluation.samplesubjects import SampleSubject
from evaluation.sheets import subject_sheet
from evaluation.study import Runs, finish
from training import presets
from training.atomic import write_text
from training.base import models
from training.runs import rundir
from training.runs.run import Run
from training.subject import intake

METHODS = ("lora", "delora")
SEEDS = (0, 1, 2, 3)
HALF = 50.0  # percent of likeness that is counted in the words under the table


@dataclass(frozen=True)
class Study:
    """Where a study lies and what it is made of.

    Attributes:
        changes: settings instead of the preset's.
        label: tells apart runs of one subject and method in one folder that differ in `changes`.
        saves: how many saves of each run are drawn and scored, the last one included.
    """

    folder: Path
    base: str
    methods: tuple[str, ...]
    effort: str
    changes: dict
    label: str = ""
    saves: int = 1

    @property
    def data(self) -> Path:
        """The study's own data folder."""
        return Runs(self.folder).data

    def run_of(self, subject: SampleSubject, method: str) -> Run:
        """The run of a subject with a method; made, and noted down, if there is none yet."""
        key = "/".join(filter(None, (subject.name, method, self.label)))
        return Runs(self.folder).get(key, lambda: self._new_run(subject, method))

    def _new_run(self, subject: SampleSubject, method: str) -> Run:
        caps = models.describe(self.base, self.data)
        own = {
            "name": subject.name,
            "class_word": subject.class_word,
            "base": self.base,
            "sample": {"prompts": samplesubjects.unseen_prompts(subject), "seeds": SEEDS},
        }
        kind = "embedded" if caps.embedded else "sd"
        spec = presets.make_spec(kind, method, self.effort, **presets.merged(own, self.changes))
        spec = spec.model_copy(update={"save_every": spec.steps // self.saves})
        cleaned = self.folder / "pictures" / subject.name
        if not cleaned.is_dir():
            intake.prepare(subject.pictures, cleaned, spec.resolution or caps.size_px)
        return rundir.create(self.data, spec, sorted(cleaned.glob("*.png")))


def measure(study: Study, subject: SampleSubject, base, models_from: Path | None = None) -> dict:
    """One subject's entry of the table; also writes its contact sheet.

    models_from: the data folder of the judges, None for the study's own.
    """
    entry: dict = {"subject": subject.name, "class_word": subject.class_word, "methods": {}}
    entry["places"] = list(samplesubjects.unseen_places(subject))
    saves = {}
    for method in study.methods:
        run = study.run_of(subject, method)
        finish(run, base, models_from or study.data)
        scores, step = run.scores(), run.spec.steps
        saves[method] = (run, step)
        entry["methods"][method] = {**_figures(scores["saves"][str(step)]), "run": run.id}
        entry["base"] = _figures(scores["base"])
        entry["real"] = {**scores["real"], LIKENESS.key: 100.0}
        entry["encoders"] = scores["encoders"]
    sheets = study.folder / "sheets"
    sheets.mkdir(exist_ok=True)
    subject_sheet(saves).save(sheets / f"{subject.name}.png")
    return entry


def table(entries: list[dict], methods: tuple[str, ...]) -> str:
    """The study as a markdown table: a block a subject, the means, and what was asked for."""
    lines = [
        f"| subject | pictures | DINO | CLIP-I | CLIP-T | {' | '.join(figure.name for figure in FIGURES)} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in [*entries, means(entries, methods)]:
        name = entry["subject"]
        lines.append(_row(name, "base, class word alone", entry["base"]))
        lines += [_row(name, method, entry["methods"][method]) for method in methods]
        lines.append(_row(name, "real pictures", entry["real"]))
    lines.append("")
    for method in methods:
        parts = [entry["methods"][method] for entry in entries]
        half = sum(part[LIKENESS.key] >= HALF for part in parts)
        good = sum(all(part[figure.key] >= figure.asked for figure in FIGURES) for part in parts)
        asked = ", ".join(f"{figure.name.lower()} {figure.asked:.0f} %" for figure in FIGURES)
        lines.append(
            f"{method}: at least half of the way from the base to the real pictures in {half} of {len(entries)} "
            f"subjects (mean likeness {statistics.fmean(part[LIKENESS.key] for part in parts):.0f} %); all that is "
            f"asked of a recommended save ({asked}) in {good}."
        )
    return "\n".join(lines) + "\n"


def means(entries: list[dict], methods: tuple[str, ...]) -> dict:
    """The entry of the mean over subjects."""

    def mean(parts: list[dict]) -> dict:
        keys = [key for key in parts[0] if all(isinstance(part.get(key), float) for part in parts)]
        return {key: statistics.fmean(part[key] for part in parts) for key in keys}

    return {
        "subject": "**mean**",
        "base": mean([entry["base"] for entry in entries]),
        "real": mean([entry["real"] for entry in entries]),
        "methods": {method: mean([entry["methods"][method] for entry in entries]) for method in methods},
    }


def _figures(scores: dict) -> dict:
    """The plain scores and the three figures of one set of pictures."""
    return {key: scores[key] for key in ("dino", "clip_i", "clip_t", "dino_stderr")} | scores["figures"]


def _row(subject: str, name: str, part: dict) -> str:
    plain = [f"{part[key]:.3f}" if key in part else "" for key in ("dino", "clip_i", "clip_t")]
    told = [part.get(figure.key) for figure in FIGURES]
    cells = plain + ["" if value is None else f"{value:.0f} %" for value in told]
    return f"| {subject} | {name} | {' | '.join(cells)} |"


def main() -> None:
    """The command line of the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study; the same one goes on with it")
    parser.add_argument("--subjects", default="8", help="how many of the sample subjects, or their names with commas")
    parser.add_argument("--methods", default=",".join(METHODS), help="adapter methods, with commas")
    parser.add_argument("--effort", default="balanced", choices=("quick", "balanced", "thorough"))
    parser.add_argument("--steps", type=int, help="training steps instead of the preset's")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--base", default="embedded")
    options = parser.parse_args()
    names = options.subjects.split(",")
    chosen = samplesubjects.sample_subjects()
    chosen = chosen[: int(names[0])] if names[0].isdigit() else [samplesubjects.sample_subject(name) for name in names]
    changes = {"threads": options.threads} | ({"steps": options.steps} if options.steps else {})
    study = Study(options.out, options.base, tuple(options.methods.split(",")), options.effort, changes)
    study.folder.mkdir(parents=True, exist_ok=True)
    base = models.load_base(options.base, data=study.data)
    entries = []
    for subject in chosen:
        entries.append(measure(study, subject, base))
        write_text(study.folder / "table.json", json.dumps(entries, indent=2) + "\n")
        write_text(study.folder / "table.md", table(entries, study.methods))
        print(f"{subject.name}: {len(entries)} of {len(chosen)} subjects, see {study.folder / 'table.md'}", flush=True)


if __name__ == "__main__":
    main()
