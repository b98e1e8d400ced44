"""What the soaks found, as rows of docs/reliability.md: written by each script, added up over its calls."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass
class Row:
    """One kind of fault.

    tries: how often it was made. lost: how often something of a person's was lost, or came out otherwise than without
    the fault. stuck: how often somebody had to come and help. foreign_errors: errors that are none of ours. note: what
    was counted as what.
    """

    fault: str
    tries: int = 0
    lost: int = 0
    stuck: int = 0
    foreign_errors: int = 0
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether nothing of the kind happened."""
        return not (self.lost or self.stuck or self.foreign_errors)


def read(path: Path) -> list[Row]:
    """The rows in a file, [] where there is none."""
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))] if path.is_file() else []


def write(path: Path, found: list[Row], *, add: bool = False) -> None:
    """Write rows, or add them to those of the same fault that are there."""
    known = {row.fault: row for row in read(path)} if add else {}
    for row in found:
        if before := known.get(row.fault):
            for count in ("tries", "lost", "stuck", "foreign_errors"):
                setattr(row, count, getattr(row, count) + getattr(before, count))
        known[row.fault] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in known.values()], indent=2) + "\n", "utf-8")


def options(what: str, amount: str, default: int) -> argparse.ArgumentParser:
    """The options that the scripts share; amount: what is counted."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(f"--{amount}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=1e9, help="end after the first that is over by then")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    parser.add_argument("--add", action="store_true", help="add to what --out holds")
    return parser
