"""The table in docs/methods.md: complete, within the limits, and what the benchmark measures today."""

import re

import pytest

import delora
from benchmarks import methods_table
from benchmarks.methods.rows import measure
from benchmarks.methods.variants import VARIANTS


@pytest.fixture(scope="module")
def rows():
    """The committed table: a dict of column -> cell for each row, with the method's name as "key"."""
    page = methods_table.PAGE.read_text("utf-8")
    text = page.partition(methods_table.BEGIN)[2].partition(methods_table.END)[0].strip()
    head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    found = [dict(zip(head, line, strict=True)) for line in lines]
    return [{**row, "key": re.search(r"`(.+)`", row["method"])[1]} for row in found]


def number(cell):
    return {"-": None, "exact": 0.0}[cell] if cell in ("-", "exact") else float(cell)


def half_limit(moved):
    """ETHER's reflections have a fixed size, which is larger in these narrow layers than in Stable Diffusion's."""
    return methods_table.LIMITS["float16"] * max(1, moved / methods_table.USUAL_MOVE)


def test_every_method_has_a_row(rows):
    assert {row["key"] for row in rows} == set(delora.METHODS)
    assert len(rows) == len(VARIANTS)


def test_the_committed_numbers_are_within_the_limits(rows):
    for row in rows:
        assert (row["step 0"] == "exact") == (row["key"] != "ether"), row
        assert row["detached"] == "exact", row
        assert float(row["moved"].rstrip(" %")) > 1, row  # otherwise there would be nothing to lose
        if row["of its bound"] != "no bound":
            assert float(row["of its bound"].rstrip(" %")) <= 100, row
        if row["gradient beside PEFT's"] != "-":
            assert number(row["gradient beside PEFT's"]) <= 1e-6, row
        assert number(row["merged"]) <= 5e-6, row
        for kind in methods_table.FORMATS:
            single, half = number(row[f"{kind}, fp32"]), number(row[f"{kind}, fp16"])
            assert single is None or single <= methods_table.LIMITS["float32"], row
            if row["key"] not in methods_table.FULL_RANK and kind != "PEFT":
                assert half <= half_limit(float(row["moved"].rstrip(" %")) / 100), row


@pytest.mark.parametrize("name", ["DeLoRA", "DoRA"])
def test_the_benchmark_measures_it_again(name):
    row = measure(name)
    assert row.identity == row.detach == 0 and row.merge <= 5e-6
    assert row.moved > 0.01 and (row.bound is None or row.bound <= 1)
    assert row.gradient is None or row.gradient <= 1e-6
    wanted = {"DoRA": ("diffusers", "PEFT")}.get(name, methods_table.FORMATS)
    assert set(row.exports) == {f"{kind} {dtype}" for kind in wanted for dtype in methods_table.LIMITS}
    for kind, found in row.exports.items():
        if name != "DoRA" or kind.endswith("float32"):
            assert found <= methods_table.LIMITS[kind.split()[1]], kind
