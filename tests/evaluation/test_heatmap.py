"""A heat map has the means of the layers of each block and projection, in the UNet's order."""

import re
from xml.etree import ElementTree

import pytest

from evaluation import heatmap


def event(**distances):
    layers = {
        name.replace("__", "."): {"distance": d, "bound": None, "reach": None, "lambda": None}
        for name, d in distances.items()
    }
    return {"kind": "geometry", "step": 3, "layers": layers}


FOUND = event(
    up_blocks__10__attentions__0__attn1__to_q=0.4,
    up_blocks__2__attentions__0__attn1__to_q=0.1,
    up_blocks__2__attentions__1__attn2__to_q=0.3,
    mid_block__attentions__0__attn1__to_out__0=1.5,
    down_blocks__0__attentions__0__attn1__to_v=0.0,
    down_blocks__0__attentions__0__attn1__to_k=None,
    conv_in=9.0,
)


def test_cells_are_means_by_block_and_projection():
    assert heatmap.cells(FOUND) == {
        ("Q", "up 10"): 0.4, ("Q", "up 2"): pytest.approx(0.2), ("Out", "mid"): 1.5, ("V", "down 0"): 0.0,
    }  # fmt: skip


def test_blocks_go_from_the_input_to_the_output():
    assert heatmap.blocks([heatmap.cells(FOUND), {}]) == ["down 0", "mid", "up 2", "up 10"]


def test_the_furthest_cell_is_the_darkest_and_every_cell_has_its_number():
    cells = heatmap.cells(FOUND)
    svg = heatmap.heat_map(cells, heatmap.blocks([cells]), 1.5, "DeLoRA & <b>")
    drawn = ElementTree.fromstring(svg)
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0.400", "0.200", "1.5", "0.000"} <= set(texts) and {"Q", "K", "V", "Out", "mid", "up 10"} <= set(texts)
    shades = [float(found) for found in re.findall(r'fill-opacity="([\d.]+)"', svg)]
    assert max(shades) == heatmap.DARKEST and min(shades) == 0 and len(shades) == 4
    assert "fill-opacity" in heatmap.heat_map({("Q", "mid"): 0.0}, ["mid"], 0.0, "nothing moved")
