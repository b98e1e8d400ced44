"""The soaks in short form, and the table that their results make."""

import json

import pytest
from fulldisk import WHY_NOT, can_mount
from soak import disk, kills, rows, table
from soak.rows import Row


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_bit_of_what_is_trained(tmp_path):
    found = kills.soak(tmp_path / "data", tmp_path, 10)
    assert sum(row.tries for row in found) == 10
    assert all(row.held for row in found), found


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason=WHY_NOT)
def test_three_full_disks_end_no_training_and_no_worker(tmp_path):
    found = disk.soak(tmp_path, 3)
    assert found[0].tries == 3 and all(row.held for row in found), found


def test_rows_of_one_fault_add_up(tmp_path):
    path = tmp_path / "results" / "kills.json"
    rows.write(path, [Row("kill", 3, 0, 1)])
    rows.write(path, [Row("kill", 4, 1), Row("fill", 2)], add=True)
    assert rows.read(path) == [Row("kill", 7, 1, 1), Row("fill", 2)]
    rows.write(path, [Row("fill", 5)])
    assert [row["tries"] for row in json.loads(path.read_text())] == [5]


def test_the_page_holds_the_table_of_the_results_that_are_there():
    """docs/reliability.md was made anew after the last soak: python tests/soak/table.py"""
    text = table.PAGE.read_text("utf-8")
    assert table.page(text, table.table()) == text
    assert text.count(table.BEGIN) == text.count(table.END) == 1


def test_only_what_is_between_the_marks_is_made_anew():
    text = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    assert table.page(text, "new") == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
