"""The small words and the addresses."""

import time

import pytest

from app import words
from app.web.parts import links


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "under 1 s"),
        (7.4, "7 s"),
        (41, "40 s"),
        (57, "55 s"),
        (58, "about 1 min"),
        (362, "about 6 min"),
        (3599, "about 1 h"),
        (4790, "about 1 h 20 min"),
        (26 * 3600, "about 1 day"),
        (50 * 3600, "about 2 days"),
    ],
)
def test_durations_are_said_as_one_says_them(seconds, told):
    assert words.duration(seconds) == told


def test_an_estimate_says_about_also_before_seconds():
    assert words.about(41) == "about 40 s" and words.about(362) == "about 6 min"
    assert words.ago(2) == "2 s ago" and words.ago(0.4) == "just now"


def test_a_date_names_the_day_within_a_week_and_the_year_after_it():
    tuesday = time.mktime((2026, 11, 24, 14, 2, 0, 0, 0, -1))
    assert words.moment(tuesday, tuesday + 3600) == "Tue 14:02"
    assert words.moment(tuesday, tuesday + 30 * 86400) == "24 Nov 2026"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (980, "980 B"),
        (45_200, "45 kB"),
        (3_200_000, "3.2 MB"),
        (999_600, "1.0 MB"),
        (2.13e9, "2.1 GB"),
        (4e12, "4000 GB"),
    ],
)
def test_sizes_have_two_digits_and_a_unit(count, told):
    assert words.size(count) == told


def test_a_state_is_a_word_an_icon_that_is_silent_and_a_colour():
    from training.runs.states import MOVES

    assert words.STATES.keys() == MOVES.keys()
    assert len({(word, icon) for word, _, icon in words.STATES.values()}) == len(MOVES)
    badge = words.state_badge("interrupted")
    assert "Interrupted" in badge and 'aria-hidden="true"' in badge and "ds-is-warn" in badge


def test_every_method_and_known_base_has_its_name():
    from training.adapterspec import METHODS

    assert words.METHODS.keys() == set(METHODS)
    assert words.base("embedded") == "Toy model (built in)" and words.base("sd15") == "Stable Diffusion 1.5"
    assert words.base("/models/my own.safetensors") == "my own" and words.base("/models/sd") == "sd"


def test_addresses_are_percent_encoded():
    assert links.picture("a b", 200, "00-01.png") == "studio/picture/a%20b/step-000200/00-01.png"
    assert links.subject("r", "00.png") == "studio/picture/r/dataset/00.png"
    assert links.export("r", "x/../y&z.safetensors") == "studio/file/r/x%2F..%2Fy%26z.safetensors"
    assert links.drawing("d", "0.png") == "studio/drawing/d/0.png"
    assert links.run("a&b") == "run?id=a%26b" and links.compare(["a", "b c"]) == "compare?ids=a,b%20c"
    assert links.generate("a", 40) == "generate?run=a&step=40"


def test_text_becomes_html_without_becoming_markup():
    told = words.paragraph("Run `delora doctor` <b>")
    assert told == '<p class="ds-plain">Run <code>delora doctor</code> &lt;b&gt;</p>'
    assert words.paragraph("") == ""
