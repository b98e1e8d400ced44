"""Teaching pictures from semantic maps: pairs taken in, held-out maps drawn, and judged by a segmentor."""

from evaluation import frechet
from evaluation.tasks.task import Task
from training.maps import SEGMENTATION


class Maps(Task):
    """Pictures that follow maps (`training.maps`)."""

    name = "maps"
    judges = ("segmentor", "clip")

    def gather(self, given, spec, size_px, folder):
        from evaluation.maps.gathering import gather

        return gather(given, spec, size_px, folder)

    def check(self, spec, base, data):
        from evaluation.maps.gathering import check

        return check(spec, base, data)

    def take_in(self, run, base, data, watch):
        from training.maps.steering import taking

        return taking.take_in(run, base, data, watch)

    def draw_base(self, run, base, data, progress=None):
        from evaluation.maps import drawn

        drawn.draw_base(run, base, data, progress)

    def draw(self, run, base, adapter, step, data, progress=None):
        from evaluation.maps import drawn

        drawn.draw(run, base, adapter, step, data, progress)

    def scorer(self, run, embedded, data, *, device="cpu", segmentor=None, clip=None):
        from evaluation.maps.runscores import MapScorer

        return MapScorer(run, embedded, data, segmentor=segmentor, clip=clip, device=device)

    def sheet(self, run, step):
        from evaluation.maps.sheet import sheet
        from evaluation.runscores import drawn_steps

        return sheet({f"step {drawn}": (run, drawn) for drawn in drawn_steps(run) if drawn})

    def report(self, run, book):
        from evaluation.maps import report
        from evaluation.reportparts import plots

        best = book.recommend().step if book else None
        drawn = plots(run, report.figure_plots(book, best) if book else [])
        return [report.film_strip(run, best), drawn, report.table(book) if book else ""]

    def table(self, scores):
        from evaluation.maps.told import table

        return table(scores)

    def save_words(self, save):
        gain = f", {100 * save['gain'][0]:+.1f} points over the base" if "gain" in save else ""
        accuracy = f"pixel accuracy {100 * save['pixel_accuracy']:.1f} %"
        far = f", Fréchet distance {words}" if (words := frechet.told(save)) else ""
        return f"mIoU {100 * save['headline']:.1f} %{gain}, {accuracy}{far}"

    def use_words(self, run):
        kind = run.spec.control_kind
        words, file = ("maps", "0000.map.png") if kind == SEGMENTATION else (f"{kind} edges of pictures", "0000.png")
        return [
            f"It belongs to {words}: draw with one.",
            f"Try it: delora generate 'a photo' --run {run.id} --map {run.path / 'held-out' / file}",
        ]
