"""Teaching a subject from a few pictures: DreamBooth, drawn with the run's prompts and judged by DINO and CLIP."""

from evaluation.tasks.task import Task


class Subject(Task):
    """A subject and the rare word that calls it (`training.subject`)."""

    name = "dreambooth"

    def check(self, spec, base):
        from training.subject.validate import validate

        return validate(spec, base)

    def take_in(self, run, base, data, watch):
        from training.subject import dreambooth

        return dreambooth.take_in(run, base, data, watch)

    def draw_base(self, run, base, data, progress=None):
        from evaluation.basepictures import draw_base

        draw_base(run, base, data, progress)

    def draw(self, run, base, adapter, step, progress=None):
        from training import sample

        sample.draw(run, base, adapter, step, progress)

    def scorer(self, run, embedded, data, *, dino=None, clip=None, device="cpu"):
        from evaluation.runscores import RunScorer

        return RunScorer(run, embedded, data, dino=dino, clip=clip, device=device)
