"""Kills at random moments, and whether every training still comes out the same to the bit.

python tests/soak/kills.py --kills 100 --out tests/soak/results/kills.json
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from soak import rows, trainings  # noqa: E402
from soak.rows import Row  # noqa: E402

VICTIMS = ("training", "launcher", "guard", "worker", "all of them")
NOTE = "lost: another adapter to the bit, a step missing or told twice; stuck: not settled, or not done, in 3 minutes"


def victims(run, shop, who: str) -> list[int]:
    """The processes to kill, [] while there are none."""
    state, record = run.state(), shop.record(f"{run.id}.{max(1, run.newest_attempt())}")
    worker = [shop.workers[-1].pid]
    there = {
        "training": [state.pid] if state.pid and state.name == "running" else [],
        "launcher": [record.group] if record and record.ended is None else [],
        "guard": [record.guard] if record and record.ended is None else [],
        "worker": worker,
    }
    there["all of them"] = there["training"] + there["launcher"] + there["guard"] + worker
    return there[who]


def soak(data: Path, models: Path, kills: int, seed: int = 0, seconds: float = 1e9) -> list[Row]:
    """Kill one process after the other until so many were killed; returns a row for each kind of victim."""
    chance, deadline = random.Random(seed), time.monotonic() + seconds
    found = {who: Row(f"kill -9: {who}", note=NOTE) for who in VICTIMS}
    work = trainings.Trainings(data, models)

    def made() -> int:
        return sum(row.tries for row in found.values())

    try:
        while made() < kills and time.monotonic() < deadline:
            run, hit = work.begin(), []
            while run.state().name != "done":
                time.sleep(chance.uniform(0, work.seconds))
                if made() < kills:
                    who = VICTIMS[made() % len(VICTIMS)]
                    if run.state().ended or not (pids := victims(run, work.shop, who)):
                        continue
                    for pid in pids:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    found[who].tries += 1
                    hit.append(who)
                if not work.until(run, "interrupted", "failed", "done", seconds=trainings.LONG_SECONDS):
                    break
                if run.state().resumable:
                    work.shop.start(run)
            if run.state().name != "done":
                found[hit[-1]].stuck += 1
                print(f"stuck: {run.state()}", file=sys.stderr)
            elif hit and not work.is_right(run):
                found[hit[-1]].lost += 1
                print(f"lost: {run.id}", file=sys.stderr)
            print(f"{run.id}: {', '.join(hit) or 'undisturbed'}", file=sys.stderr, flush=True)
            work.forget(run)
    finally:
        work.shop.close()
    found["worker"].foreign_errors = work.foreign_errors()
    return [row for row in found.values() if row.tries]


if __name__ == "__main__":
    given = rows.options(__doc__.splitlines()[0], "kills", 100).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows_found = soak(Path(folder) / "data", Path(folder), given.kills, given.seed, 60 * given.minutes)
    for row in rows_found:
        print(row)
    if given.out:
        rows.write(given.out, rows_found, add=given.add)
    sys.exit(0 if all(row.held for row in rows_found) else 1)
