"""How the presets' learning rates were chosen: the three figures along training, for several rates.

    python -m evaluation.preset_sweep --out results/sweep --method delora --rates 0.005,0.01,0.02

Every (subject, rate) is a run, drawn and scored at each save in places that the subject's own pictures do not show.
Started again with the same --out, the sweep goes on where it was. The table holds means over the subjects.
"""

import argparse
import dataclasses
import math
import statistics
from pathlib import Path

from evaluation import samplesubjects
from evaluation.figures import FIGURES
from evaluation.study import finish
from evaluation.subject_table import Study
from training.atomic import write_text
from training.base import models

SUBJECTS = "jeep,parrot"
HEAD = (
    f"| method | learning rate | step | {' | '.join(figure.name for figure in FIGURES)} |",
    "|---|---|---|---|---|---|",
)


def curve(study: Study, subject, method: str, base) -> dict[int, dict[str, float]]:
    """One run's three figures in percent by step; NaN where one cannot be measured."""
    run = study.run_of(subject, method)
    finish(run, base, study.data)
    told = {int(step): save["figures"] for step, save in run.scores()["saves"].items()}
    return {
        step: {f.key: math.nan if figures[f.key] is None else figures[f.key] for f in FIGURES}
        for step, figures in told.items()
    }


def rows(method: str, rate: float, curves: list[dict[int, dict[str, float]]]) -> list[str]:
    """The table's lines of one rate: means over the subjects at each save."""
    out = []
    for step in sorted(curves[0]):
        means = (statistics.fmean(curve[step][figure.key] for curve in curves) for figure in FIGURES)
        out.append(f"| {method} | {rate:g} | {step} | {' | '.join(f'{mean:.0f} %' for mean in means)} |")
    return out


def main() -> None:
    """The command line of the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the sweep; the same one goes on with it")
    parser.add_argument("--method", default="delora")
    parser.add_argument("--rates", default="0.005,0.01,0.02", help="learning rates, with commas")
    parser.add_argument("--subjects", default=SUBJECTS, help="names of sample subjects, with commas")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--saves", type=int, default=4, help="saves of each run that are scored")
    parser.add_argument("--threads", type=int, help="CPU threads")
    options = parser.parse_args()
    subjects = [samplesubjects.sample_subject(name) for name in options.subjects.split(",")]
    study = Study(options.out, "embedded", (options.method,), "quick", {}, saves=options.saves)
    study.folder.mkdir(parents=True, exist_ok=True)
    base, lines = models.load_base(study.base, data=study.data), list(HEAD)
    for rate in map(float, options.rates.split(",")):
        changes = {"steps": options.steps, "learning_rate": rate, "threads": options.threads}
        this = dataclasses.replace(study, changes=changes, label=f"{rate:g}")
        lines += rows(options.method, rate, [curve(this, subject, options.method, base) for subject in subjects])
        write_text(study.folder / f"{options.method}.md", "\n".join(lines) + "\n")
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
