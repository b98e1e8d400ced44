"""Writes the table of docs/reliability.md from the soaks' results: python tests/soak/table.py"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak import rows  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- made by tests/soak/table.py -->", "<!-- end of the table -->"
HEAD = "| fault | tries | lost | stuck | foreign errors | counted |\n|---|---:|---:|---:|---:|---|"


def table(results: Path = rows.RESULTS) -> str:
    """All results, file by file in the order of their names."""
    found = [row for path in sorted(results.glob("*.json")) for row in rows.read(path)]
    lines = [f"| {r.fault} | {r.tries:,} | {r.lost} | {r.stuck} | {r.foreign_errors} | {r.note} |" for r in found]
    return "\n".join([HEAD, *lines])


def page(text: str, made: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8"), table()), "utf-8")
