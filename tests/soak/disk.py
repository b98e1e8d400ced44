"""A disk that fills up at random moments of a training and gets room again: nobody presses anything. Root on Linux.

python tests/soak/disk.py --tries 30 --out tests/soak/results/disk.json
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import fulldisk  # noqa: E402
from soak import rows, trainings  # noqa: E402
from soak.rows import Row  # noqa: E402

MEGABYTES = 24
NOTE = (
    "lost: another adapter to the bit, a step missing or told twice, a worker that died; stuck: not done by itself "
    "3 minutes after there was room"
)


def soak(folder: Path, tries: int, seed: int = 0, seconds: float = 1e9) -> list[Row]:
    """Fill the disk under one training after the other; returns a row for a training and one for the pages."""
    chance, deadline = random.Random(seed), time.monotonic() + seconds
    training = Row("full disk during a training", note=NOTE)
    pages = Row(
        "full disk, pages and commands read meanwhile",
        note="lost: an answer that does not name the disk; foreign error: a traceback",
    )
    with fulldisk.mounted(folder / "disk", MEGABYTES) as disk:
        work = trainings.Trainings(disk.path, folder)
        worker = work.worker
        try:
            while training.tries < tries and time.monotonic() < deadline:
                run = work.begin()
                time.sleep(chance.uniform(0, work.seconds))
                disk.fill()
                training.tries += 1
                time.sleep(chance.uniform(0.5, 8))
                _read(disk.path, pages)
                full = run.state()
                disk.empty()
                done = work.until(run, "done", seconds=trainings.LONG_SECONDS)
                training.stuck += not done
                training.lost += worker.poll() is not None or (done and not work.is_right(run))
                told = full.cause or full.phase or full.name
                print(f"{run.id}: {told} at step {full.step}, then {run.state().name}", file=sys.stderr, flush=True)
                worker = work.worker
                work.forget(run)
        finally:
            work.shop.close()
        training.foreign_errors = work.foreign_errors()
    return [training, pages]


def _read(data: Path, row: Row) -> None:
    """What the strip of every page and the list of runs say now."""
    from typer.testing import CliRunner

    from app.cli import cli
    from app.web.studio import Studio

    listed = CliRunner().invoke(cli, ["runs", "list", "--data", str(data)])
    for answer in (Studio(data).status()["html"], listed.output):
        row.tries += 1
        row.lost += f"The disk of {data} is full" not in answer
        row.foreign_errors += "Traceback" in answer


if __name__ == "__main__":
    given = rows.options(__doc__.splitlines()[0], "tries", 30).parse_args()
    if not fulldisk.can_mount():
        sys.exit(fulldisk.WHY_NOT)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), given.tries, given.seed, 60 * given.minutes)
    for row in found:
        print(row)
    if given.out:
        rows.write(given.out, found, add=given.add)
    sys.exit(0 if all(row.held for row in found) else 1)
