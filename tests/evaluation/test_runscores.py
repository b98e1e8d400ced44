"""Scoring a run: what older judges said is not gone on with, and is made again."""

import handmade
import pytest
import tinyjudges

from evaluation.runscores import RunScorer
from evaluation.scorebook import ScoreBook, brief, is_current


@pytest.fixture
def run(tmp_path):
    """A run with a save, whose pictures can be judged, scored by hand."""
    made = handmade.score(handmade.train(handmade.run(tmp_path), 4), {4: (0.7, 1.0)})
    for i, path in enumerate(sorted((made.path / "dataset").glob("*.png"))):
        tinyjudges.noise_pictures(1, i)[0].save(path)
    for step in (0, 4):
        for i, path in enumerate(made.samples(step)):
            tinyjudges.noise_pictures(1, 10 * step + i)[0].save(path)
    return made


def test_scores_of_older_judges_are_told_as_such_and_made_again(run, judge_folders):
    document = run.scores()
    run.write_scores({**document, "version": 1})
    assert brief(run.scores())["older_judges"] and brief(run.scores())["recommended"] is None
    judges = {kind: str(folder) for kind, folder in judge_folders.items()}
    RunScorer(run, False, run.path.parent.parent, **judges).update()
    book = ScoreBook.from_dict(run.scores())
    assert list(book.saves) == [4] and is_current(run.scores())
    assert book.saves[4].per_image["dino"] != document["saves"]["4"]["per_image"]["dino"]
    assert len(book.saves[4].per_image["clean"]) == 4 and book.strangeness is None


def test_a_prompt_without_a_place_counts_by_its_thing_alone(run, judge_folders):
    judges = {kind: str(folder) for kind, folder in judge_folders.items()}
    RunScorer(run, False, run.path.parent.parent, **judges).update()
    told = ScoreBook.from_dict(run.scores()).saves[4].per_image
    assert [place is None for place in told["place"]] == [False, False, True, True]  # "a dog in the snow", "a dog"
    assert None not in told["thing"]


def test_lists_tell_the_recommended_save_with_its_three_figures(run):
    told = brief(handmade.score(run, {4: (0.7, 0.9, 0.95), 8: (0.7, 0.9, 0.2)}).scores())
    assert told["recommended"] == 4 and told["collapsed"] == 8 and not told["older_judges"]
    assert (told["likeness"], told["follows"], told["clean"]) == pytest.approx((75, 90, 95))
    assert brief(None) == {**dict.fromkeys(told), "older_judges": False}
