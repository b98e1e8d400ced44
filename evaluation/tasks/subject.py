"""Teaching a subject from a few pictures: DreamBooth, drawn with the run's prompts and judged by DINO and CLIP."""

from evaluation.figures import FIGURES, LIKENESS, in_words
from evaluation.tasks.task import Gathered, Task
from training.errors import BadInput


class Subject(Task):
    """A subject and the rare word that calls it (`training.subject`)."""

    name = "dreambooth"
    judges = ("dino", "clip")

    def gather(self, given, spec, size_px, folder):
        from training.subject import intake

        if given.held_out is not None:
            raise BadInput("--held-out is of runs of maps.", "Leave it out.", "held_out")
        files = intake.expand(list(given.paths))
        cleaned = intake.prepare(files, folder / "dataset", size_px)
        verdicts = intake.inspect_all(files, size_px)
        notes = [f"{file.name}: {v.words}" for file, v in zip(files, verdicts, strict=True) if v.kind != "good"]
        warning = intake.background_warning(files)
        return Gathered(spec, cleaned, intake.left_out(list(given.paths)) + notes + ([warning] if warning else []))

    def check(self, spec, base, data):
        from training.subject.validate import validate

        return validate(spec, base)

    def take_in(self, run, base, data, watch):
        from training.subject import dreambooth

        return dreambooth.take_in(run, base, data, watch)

    def draw_base(self, run, base, data, progress=None):
        from evaluation.basepictures import draw_base

        draw_base(run, base, data, progress)

    def draw(self, run, base, adapter, step, data, progress=None):
        from training import sample

        sample.draw(run, base, adapter, step, progress)

    def scorer(self, run, embedded, data, *, device="cpu", dino=None, clip=None):
        from evaluation.runscores import RunScorer

        return RunScorer(run, embedded, data, dino=dino, clip=clip, device=device)

    def sheet(self, run, step):
        from evaluation.sheets import subject_sheet

        return subject_sheet({f"{run.spec.adapter.method}, step {step}": (run, step)})

    def report(self, run, book):
        from evaluation.reportparts import subject_parts

        return subject_parts(run, book)

    def table(self, scores):
        rows = [["base", *_cells(scores["base"])], *([step, *_cells(save)] for step, save in scores["saves"].items())]
        if real := scores["real"]:
            whole = percent(None if scores["base"]["figures"][LIKENESS.key] is None else 100.0)
            rows.append(["your pictures", whole, "", "", f"{real['dino']:.3f}", f"{real['clip_i']:.3f}", ""])
        return ["save", *(figure.name.lower() for figure in FIGURES), "DINO", "CLIP-I", "CLIP-T"], rows

    def save_words(self, save):
        return in_words(save["figures"])

    def use_words(self, run):
        trigger = run.spec.subject
        return [
            f"Write '{trigger}' in the prompt.",
            f"Try it: delora generate 'a {trigger} in the snow' --run {run.id}",
        ]


def percent(value: float | None) -> str:
    """A percent for a table, `-` where there is none."""
    return "-" if value is None else f"{value:.0f} %"


def _cells(save: dict) -> list[str]:
    told = [percent(save["figures"][figure.key]) for figure in FIGURES]
    return told + [f"{save[key]:.3f}" for key in ("dino", "clip_i", "clip_t")]
