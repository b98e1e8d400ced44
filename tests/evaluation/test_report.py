"""A run's report and its curves: the run's own numbers, and nothing loaded from elsewhere."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import tinyjudges
import tinypipeline

from evaluation import curves
from evaluation.report import write_report
from evaluation.scorebook import ScoreBook
from evaluation.scores import Scores

LIMITED = {"a": (0.1, 0.4), "b": (0.3, 0.9)}  # layer -> distance, bound: a is at 25 % of its limit, b at 33 %


@pytest.fixture
def run(tmp_path):
    """A run with events, pictures and scores as a job leaves them, made by hand."""
    run = tinypipeline.run(tmp_path, tmp_path / "no-model", name="Biscuit <3", steps=4)
    for step in (0, 2, 4):
        layers = {
            name: {"distance": d * step / 4, "bound": bound, "reach": bound / 2, "lambda": 4.0}
            for name, (d, bound) in LIMITED.items()
        }
        run.append_event({"kind": "geometry", "step": step, "layers": layers})
    for step in range(1, 5):
        run.append_event({"kind": "step", "step": step, "loss": 1 / step})
    for step in (0, 2, 4):
        run.samples_folder(step).mkdir(parents=True)
        for i, picture in enumerate(tinyjudges.noise_pictures(2, step)):
            picture.save(run.samples_folder(step) / f"00-{i:02d}.png")
    judges = {k: {"ref": k, "name": k, "preprocessing": "resize", "sha256": "0"} for k in ("dino", "clip")}
    per_image = {}
    made = [
        Scores(dino, 0.5, 0.3, 0.1 * share, 0.2, 1.0, 0.01, 2, per_image, judges)
        for dino, share in ((0.4, 1.0), (0.5, 1.0), (0.7, 0.9))
    ]
    book = ScoreBook(made[0], {"dino": 0.8, "clip_i": 0.9}, run.spec.sample.prompts, run.spec.sample.seeds)
    run.write_scores(book.with_save(2, made[1]).with_save(4, made[2]).to_dict("Biscuit"))
    return run


def test_the_furthest_layer_is_the_one_nearest_to_its_own_limit(run):
    series = {s.name: s for s in curves.distance_series(run)}
    assert series["layer nearest to its limit"].points[-1] == (4, 0.3)
    assert series["its limit (guaranteed)"].points[-1] == (4, 0.9)
    assert series["usual reach, about limit / √r"].points[-1] == (4, 0.45)
    assert series["mean of all layers"].points[-1] == (4, pytest.approx(0.2))
    assert curves.furthest_share(run) == pytest.approx(100 / 3)
    assert "Furthest layer: 33 % of its limit." in curves.limit_words(run)


def test_a_method_without_a_limit_has_no_line_for_it(run):
    (run.path / "events.jsonl").write_text("")
    layer = {"distance": 0.2, "bound": None, "reach": None, "lambda": None}
    run.append_event({"kind": "geometry", "step": 0, "layers": {"a": layer}})
    assert [s.name for s in curves.distance_series(run)] == ["mean of all layers", "furthest layer"]
    assert curves.furthest_share(run) is None
    assert "no limit" in curves.limit_words(run)


def test_long_losses_are_averaged_and_not_dropped():
    points = tuple((step, float(step)) for step in range(1, 1001))
    thin = curves.thinned(points, 100)
    assert len(thin) == 100 and thin[0] == (10, 5.5) and thin[-1] == (1000, 995.5)


def test_the_report_shows_scores_strip_and_curves_and_loads_nothing(run, tmp_path):
    html = write_report(run, tmp_path / "report.html").read_text()
    plots = re.findall(r"<svg.*?</svg>", html)
    assert len(plots) == 5
    for plot in plots:
        ElementTree.fromstring(plot)
    assert "Biscuit &lt;3" in html and "<3" not in html
    for words in ("recommended: ", "75 %", "0.700", "step 4", "a sks dog in the snow", "adapter.lambda_"):
        assert words in html, words
    assert html.count("<img") == len(run.pictures()) + 3
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)


def test_a_run_that_has_only_begun_has_a_report_too(tmp_path):
    run = tinypipeline.run(tmp_path, tmp_path / "no-model")
    html = write_report(run, tmp_path / "report.html").read_text()
    assert "No scores yet." in html and html.count("Nothing measured yet.") == 2
    json.dumps(html)
