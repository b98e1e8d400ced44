"""Contact sheets and plots: the right picture in the right cell, the right point at the right height."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from evaluation.plots import Series, line_plot, ticks
from evaluation.sheets import GAP_PX, Row, contact_sheet


def solid(colour, size=(64, 64)):
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


def test_each_picture_stands_in_its_row_and_column():
    colours = [["red", "lime", "blue"], ["yellow", "cyan", "magenta"]]
    rows = [Row(f"row {i}", [solid(c) for c in line]) for i, line in enumerate(colours)]
    sheet = contact_sheet(rows, columns=["one", "two", "three"], title="Sheet", cell_px=50, label_px=100)
    top = sheet.height - 2 * (50 + GAP_PX) - GAP_PX
    for i, line in enumerate(colours):
        for j, colour in enumerate(line):
            centre = (100 + j * (50 + GAP_PX) + 25, top + i * (50 + GAP_PX) + 25)
            assert sheet.getpixel(centre) == solid(colour).getpixel((0, 0)), (i, j)


def test_labels_are_written_beside_the_pictures():
    plain = contact_sheet([Row("", [solid("white")])], cell_px=50, label_px=100)
    named = contact_sheet([Row("your pictures", [solid("white")])], cell_px=50, label_px=100)
    assert plain.size == named.size
    assert plain.crop((0, 0, 100, 56)).getcolors() != named.crop((0, 0, 100, 56)).getcolors()
    assert plain.crop((100, 0, *plain.size)).tobytes() == named.crop((100, 0, *named.size)).tobytes()


def test_a_picture_that_is_not_square_is_shown_whole():
    sheet = contact_sheet([Row("", [solid("red", (100, 50))])], cell_px=50, label_px=60)
    reds = sum(count for count, colour in sheet.getcolors(1 << 20) if colour == (255, 0, 0))
    assert reds == 50 * 25


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([])


def test_a_plot_puts_equal_steps_at_equal_distances_and_higher_values_higher():
    svg = line_plot([Series("DINO", ((0, 0.2), (200, 0.4), (400, 0.6)))], title="Likeness", y_label="DINO")
    ElementTree.fromstring(svg)
    points = re.search(r'points="([^"]+)"', svg).group(1).split()
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, p.split(","))) for p in points]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and x1 > x0
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and y1 < y0


def test_words_in_a_plot_are_escaped():
    svg = line_plot([Series("<b>", ((0, 1), (1, 2)))], title="a & b", y_label="<y>", mark_x=1, mark_label="step <1>")
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert {"<b>", "a & b", "<y>", "step <1>"} <= set(texts)


def test_a_plot_without_points_says_so():
    assert "Nothing measured yet." in line_plot([Series("DINO", ())], title="Likeness", y_label="DINO")


@pytest.mark.parametrize("step", [0, 60])
def test_a_single_step_has_no_axis_before_it(step):
    svg = line_plot([Series("DINO", ((step, 0.4),))], title="Likeness", y_label="DINO")
    found = [int(number) for number in re.findall(r'text-anchor="middle">(-?\d+)<', svg)]
    assert found == [step, step + 1]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.72), (-3, 1200), (5, 5), (0, 0), (1e-6, 3e-6)])
def test_ticks_enclose_the_values_in_even_round_steps(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low and marks[-1] >= high
    assert 2 <= len(marks) <= 9
    steps = [b - a for a, b in zip(marks, marks[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps))


def test_steps_are_marked_in_whole_numbers():
    assert ticks(0, 12, whole=True) == [0, 5, 10, 15]
    assert ticks(0, 3, whole=True) == [0, 1, 2, 3]
    assert ticks(0, 240, whole=True) == [0, 50, 100, 150, 200, 250]


@pytest.mark.parametrize(("step", "side"), [(1, None), (9, "end")])
def test_the_mark_of_a_late_step_is_written_to_the_left_of_its_line(step, side):
    svg = line_plot([Series("a", ((0, 1), (10, 2)))], title="t", y_label="y", mark_x=step, mark_label="here")
    text = next(e for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text") if e.text == "here")
    assert text.get("text-anchor") == side
