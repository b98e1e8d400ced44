"""The rule on made-up curves, each with the answer a person reads off it."""

import pytest

from evaluation.recommend import recommend
from evaluation.scores import Scores


def made(dino, share, stderr=0.02, clean=1.0):
    """Scores of 16 pictures that keep this share of the base's hold on the place."""
    return Scores(dino, 0.5, 0.3, 0.1 * share, 0.2, clean, stderr, 16, {}, {})


BASE = made(0.40, 1.0)


def told(curve, **more):
    """The rule's answer on {step: scores}."""
    return recommend(curve, BASE, subject="Biscuit", real={"dino": 0.80, "clip_i": 0.9}, **more)


def test_the_earliest_save_within_one_standard_error_of_the_best():
    curve = {200: made(0.55, 1), 400: made(0.685, 1), 600: made(0.70, 0.99), 800: made(0.71, 0.97)}
    answer = told(curve)
    assert answer.step == 600  # 400 lies 0.025 below the best, 600 lies 0.01 below
    assert answer.ties == (800,)


def test_the_words_are_those_of_the_page():
    answer = told({200: made(0.55, 1), 600: made(0.684, 0.97, 0.016)})
    assert answer.reason == (
        "Recommended: step 600. The earliest save that looks as much like Biscuit as the best one, within the spread "
        "of 16 test pictures (71 ± 4 %), still follows the prompt (97 %; we ask for 75 %) and is a clean picture "
        "(100 %; we ask for 80 %). "
        "It is a measurement, not taste: take another if you like its pictures better."
    )


def test_more_than_the_base_models_prompt_following_is_told_as_all_of_it():
    assert "follows the prompt (100 %;" in told({200: made(0.7, 1.21)}).reason


def test_the_best_is_looked_for_among_saves_that_obey():
    curve = {200: made(0.60, 1.0), 400: made(0.65, 0.76), 600: made(0.78, 0.74)}
    assert told(curve).step == 400


def test_a_disobeying_save_within_the_spread_does_not_win_by_being_earlier():
    assert told({200: made(0.70, 0.70), 400: made(0.70, 0.76)}).step == 400


def test_ties_are_named():
    answer = told({200: made(0.70, 1), 400: made(0.71, 1), 600: made(0.705, 1)})
    assert (answer.step, answer.ties) == (200, (400, 600))
    assert "Within that spread, steps 400, 600 did as well." in answer.reason


def test_no_scores_yet():
    assert told({0: BASE}, first_save=200).reason == "No recommendation yet; the first scores come at step 200."
    assert told({}, first_save=200).step is None


def test_no_save_looks_like_the_subject():
    answer = told({200: made(0.41, 1), 400: made(0.38, 1)})
    assert answer.step is None
    assert answer.reason.startswith("No save looks clearly more like Biscuit than the base model does.")


def test_every_save_that_looks_alike_disobeys():
    answer = told({100: made(0.40, 1.0), 200: made(0.60, 0.70), 400: made(0.70, 0.60)})
    assert (answer.step, answer.instead) == (None, 200)
    assert answer.reason == ("Every save that looks like Biscuit ignores part of the prompt. Step 200 ignores least.")


def test_each_figure_must_reach_what_is_asked_of_it():
    asked = {"dino": 0.501, "share": 0.751, "clean": 0.801}  # of the way from 0.4 to 0.8, a quarter is asked for
    assert told({200: made(**asked)}).step == 200
    for name, value in asked.items():
        assert told({200: made(**{**asked, name: value - 0.002})}).step is None, name


def test_a_spoiled_save_is_not_recommended_however_alike_and_obedient_it_is():
    answer = told({200: made(0.60, 1.0), 400: made(0.79, 1.0, clean=0.5)})
    assert answer.step == 200
    assert (answer.collapsed, answer.last_good) == (400, 200)
    assert "since step 400 they are not clean any more (clean picture 50 %; we ask for 80 %)" in answer.warning
    assert "It was last good at step 200." in answer.warning


def test_a_run_that_was_never_clean_names_its_cleanest_save():
    answer = told({200: made(0.60, 1.0, clean=0.6), 400: made(0.79, 1.0, clean=0.5)})
    assert (answer.step, answer.instead, answer.because) == (None, 200, "cleanest")
    assert answer.reason.startswith("No save is a clean picture (clean picture 60 % at best; we ask for 80 %).")
    assert (answer.collapsed, answer.last_good) == (200, None)


def test_a_run_that_is_clean_again_has_not_collapsed():
    answer = told({200: made(0.60, 1.0), 400: made(0.7, 1.0, clean=0.5), 600: made(0.7, 1.0)})
    assert (answer.collapsed, answer.warning) == (None, "")


def test_the_last_good_save_followed_the_prompt_too():
    curve = {100: made(0.42, 1.0), 200: made(0.60, 0.5), 300: made(0.6, 0.5, clean=0.2)}
    assert told(curve).last_good == 100


def test_judges_that_know_nothing_of_the_pictures_recommend_nothing_and_still_tell_a_collapse():
    curve = {100: made(0.7, 1.0), 200: made(0.7, 1.0), 300: made(0.7, 1.0, clean=0.3)}
    answer = told(curve, known=False)
    assert (answer.step, answer.instead, answer.because) == (None, 200, "last clean save")
    assert (answer.collapsed, answer.last_good) == (300, 200)


def test_without_a_second_real_picture_the_plain_score_is_shown():
    answer = recommend({200: made(0.6, 1)}, BASE, subject="Biscuit")
    assert "(DINO 0.600 ± 0.020)" in answer.reason


@pytest.mark.parametrize("order", [(600, 200, 400), (200, 400, 600)])
def test_the_order_of_the_dictionary_does_not_matter(order):
    curve = {200: made(0.70, 1), 400: made(0.71, 1), 600: made(0.705, 1)}
    assert told({step: curve[step] for step in order}).step == 200
