"""The gate of the judges: are spoiled, disobedient and unlike pictures told from good ones, and are all three needed?

    python -m evaluation.judge_gates --out results/judges            # trains what is not there yet, measures, shows
    python -m evaluation.judge_gates --out results/judges --card     # and writes it into the toy model's card

For each held-out subject the sets of `evaluation.gate_sets` get their figures from a judge that has been calibrated as
that of a run is. A set passes that has all that is asked of a recommended save. The gate holds if every bad set fails,
no good one does, the areas under the curve say so too, and every damage lowers the figure for clean pictures in each of
five degrees. Taken away, each figure lets bad sets through: the table names them. Started again with the same --out, it
goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import assets
from evaluation import encoders, gate_sets, prompts, samplesubjects
from evaluation.cleanness import Cleanness
from evaluation.damage import KINDS
from evaluation.embedded_card import write_card
from evaluation.figures import FIGURES, Figure, Figures, figures
from evaluation.gate_sets import DEGREES, PictureSet, damaged, renders, texts
from evaluation.judge_table import table
from evaluation.pictures import read_pictures
from evaluation.samplesubjects import SampleSubject
from evaluation.subject import Judge
from training.atomic import write_text

SUBJECTS = 8
OVERSHOT = {"learning_rate": 8e-3, "steps": 480}  # 8 times the rate of LoRA's quick preset, 4 times its steps
AUC = 0.95
RISING = ("noise", "blur", "tiles", "grey", "loud")
FILE = ("embedded", "judge_gates.json")


@dataclass(frozen=True)
class Judged:
    """A set's figures."""

    subject: str
    name: str
    good: bool
    figures: dict[str, float]  # those it is held to, by key

    @property
    def margin(self) -> float:
        """The least figure as a share of what is asked for: 1 and more passes."""
        return min(self.figures[figure.key] / figure.asked for figure in FIGURES if figure.key in self.figures)

    def passes(self, without: Figure | None = None) -> bool:
        """Whether it has all that is asked for, or all but one figure that is taken away."""
        held = [figure for figure in FIGURES if figure.key in self.figures and figure != without]
        return all(self.figures[figure.key] >= figure.asked for figure in held)


def judge_of(subject: SampleSubject, base: list) -> Judge:
    """The judge of a subject as a run has it."""
    contrast = functools.partial(prompts.contrast, class_word=subject.class_word, embedded=True)
    own = read_pictures(list(subject.pictures))
    return Judge(encoders.load("dino"), encoders.load("clip"), own, contrast, lambda: base)


def judged(judge: Judge, subject: SampleSubject, base: list, sets: Sequence[PictureSet]) -> list[Judged]:
    """The figures of some sets of a subject. base: the base model's pictures of the same prompts."""
    asked, real = texts(subject), judge.self_similarity()
    level = judge.score(base, asked)
    found = []
    for one in sets:
        told: Figures = figures(judge.score(one.pictures, asked), level, real)
        held = {figure.key: getattr(told, figure.key) for figure in FIGURES if figure not in one.spared}
        found.append(Judged(subject.name, one.name, one.good, held))
    return found


def rising(judge: Judge, pictures: list, kinds: Sequence[str] = RISING) -> dict[str, list[float]]:
    """How clean pictures are that are spoiled by each kind in rising degrees, in percent; first the whole ones."""

    def clean(images: list) -> float:
        seen = judge.dino.see(images), judge.clip.see(images)
        return 100 * statistics.fmean(judge.cleanness.of(*seen))

    whole = clean(pictures)
    return {kind: [whole, *(clean(damaged(pictures, kind, degree)) for degree in DEGREES)] for kind in kinds}


def unlearnt(judge: Judge, base: list, pictures: list) -> dict[str, list[float]]:
    """`rising` of each kind by a judge that never learnt that kind."""
    out, own = {}, judge.cleanness
    for kind in KINDS:
        judge.cleanness = Cleanness(judge.dino, judge.clip, base + judge.pictures, tuple(k for k in KINDS if k != kind))
        out |= rising(judge, pictures, [kind])
    judge.cleanness = own
    return out


def auc(found: Sequence[Judged]) -> float:
    """The chance that a good set has a greater margin than a bad one."""
    from training.pretrain.probe import auc as area

    return area(*(np.array([one.margin for one in found if one.good == good]) for good in (True, False)))


def faults(found: Sequence[Judged], degrees: Sequence[dict[str, list[float]]]) -> list[str]:
    """What the gate finds wrong, in sentences; nothing where it holds."""
    wrong = [f"{one.subject}: {one.name} passes" for one in found if not one.good and one.passes()]
    wrong += [f"{one.subject}: {one.name} fails" for one in found if one.good and not one.passes()]
    wrong += [f"the area under the curve is {auc(found):.3f}"] if auc(found) < AUC else []
    wrong += [f"without {f.name.lower()} no bad set passes" for f in FIGURES if not let_through(found, f)]
    for each in degrees:
        for kind, values in each.items():
            if any(after >= before for before, after in itertools.pairwise(values)):
                wrong.append(
                    f"{kind} does not lower the figure in every degree: {', '.join(f'{v:.0f}' for v in values)}"
                )
    return wrong


def let_through(found: Sequence[Judged], without: Figure) -> list[str]:
    """Names of bad sets that would pass if one figure were taken away."""
    return sorted({one.name for one in found if not one.good and one.passes(without)})


def study(out: Path, names: Sequence[str], threads: int | None) -> tuple[list[Judged], list[dict], dict]:
    """Trains, draws and judges: the sets of all subjects, rising damage of each, and of the first by unlearnt kinds."""
    from evaluation.study import finish
    from evaluation.subject_table import Study
    from training.base import models

    preset = Study(out, "embedded", ("delora",), "quick", {"threads": threads})
    wild = Study(out, "embedded", ("lora",), "quick", {"threads": threads, **OVERSHOT}, "overshot", saves=12)
    model, found, degrees, new = models.load_base("embedded", data=preset.data), [], [], {}
    for subject in map(samplesubjects.sample_subject, names):
        run, overshot = preset.run_of(subject, "delora"), wild.run_of(subject, "lora")
        for each in (run, overshot):
            finish(each, model, preset.data)
        base = read_pictures(run.samples(0))
        sets = gate_sets.rendered_sets(subject) + gate_sets.drawn_sets(base, run, overshot)
        judge = judge_of(subject, base)
        found += judged(judge, subject, base, sets)
        degrees.append(rising(judge, renders(subject)))
        new = new or unlearnt(judge, base, renders(subject))  # costs a judge for each kind: of the first subject only
        print(f"{subject.name}: judged", flush=True)
    return found, degrees, new


def document(found: Sequence[Judged], degrees: Sequence[dict], new: dict[str, list[float]]) -> dict:
    """Everything measured, ready for JSON: means over the subjects, and how many of them pass."""

    def mean(tables: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
        return {
            kind: [round(statistics.fmean(v), 1) for v in zip(*(t[kind] for t in tables), strict=True)]
            for kind in tables[0]
        }

    sets = []
    for name in dict.fromkeys(one.name for one in found):
        these = [one for one in found if one.name == name]
        means = {key: round(statistics.fmean(one.figures[key] for one in these), 1) for key in these[0].figures}
        sets.append(
            {"set": name, "good": these[0].good, "of": len(these), "pass": sum(one.passes() for one in these), **means}
        )
    return {
        "subjects": list(dict.fromkeys(one.subject for one in found)),
        "asked": {figure.key: figure.asked for figure in FIGURES},
        "sets": sets,
        "auc": round(auc(found), 4),
        "let_through": {figure.key: let_through(found, figure) for figure in FIGURES},
        "degrees": mean(degrees),
        "unlearnt": mean([new]),
        "faults": faults(found, degrees),
    }


def main() -> None:
    """The command line of the gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("results/judges"), help="folder of the study; it goes on there"
    )
    parser.add_argument("--subjects", default=str(SUBJECTS), help="how many of the sample subjects, or their names")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--card", action="store_true", help="write the table into the toy model's card")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.subjects.split(",")
    if names[0].isdigit():
        names = [subject.name for subject in samplesubjects.sample_subjects()[: int(names[0])]]
    measured = document(*study(options.out, names, options.threads))
    write_text(options.out / "gates.json", json.dumps(measured, indent=1) + "\n")
    if options.card:
        assets.path(*FILE).write_text(json.dumps(measured, indent=1) + "\n")
        write_card(assets.path("embedded"))
    print(table(measured), end="")
    raise SystemExit(1 if measured["faults"] else 0)


if __name__ == "__main__":
    main()
