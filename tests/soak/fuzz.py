"""The fuzzers in long form: 100,000 changed inputs over all readers of tests/fuzzers.py.

    PYTHONPATH=. python tests/soak/fuzz.py [TRIES] [SEED]

Nothing may raise an error that is not our own, and nothing may take longer than five seconds. Each reader works in a
process of its own, so that a decoder which crashes or hangs is counted and not the end. Writes results/fuzz.json.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
RESULTS = Path(__file__).parent / "results" / "fuzz.json"
TRIES, SEED, STUCK_SECONDS = 100_000, 1, 5
CHUNK = 5000  # inputs a process: after a crash the next one goes on behind the input that did it


def chunk(number: int, first: int, count: int, seed: int, pipe) -> None:
    """Try `count` inputs of a reader and tell what was wrong with each through the pipe."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what decoders print of damaged pictures
    import fuzzers

    with tempfile.TemporaryDirectory() as folder:
        reader = fuzzers.all_readers(Path(folder))[number]
        for i in range(first, first + count):
            pipe.send((i, None))
            signal.alarm(STUCK_SECONDS)  # its default ends the process, also inside a library
            wrong = fuzzers.tried(reader, random.Random(f"{seed} {reader.name} {i}"))
            signal.alarm(0)
            pipe.send((i, wrong))


def run(number: int, name: str, tries: int, seed: int) -> dict:
    """All inputs of a reader."""
    found, done, stuck, crashed = Counter(), 0, 0, Counter()
    while done < tries:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=chunk, args=(number, done, min(CHUNK, tries - done), seed, theirs))
        process.start()
        theirs.close()
        at = done
        try:
            while True:
                at, wrong = ours.recv()
                if wrong is not None:
                    done = at + 1
                    if wrong:
                        found[wrong.rpartition(" at ")[2]] += 1
                        print(f"  {name} input {at}: {wrong}", flush=True)
        except EOFError:
            process.join()
        if process.exitcode == -signal.SIGALRM:
            stuck += 1
        elif process.exitcode:
            crashed[process.exitcode] += 1
            print(f"  {name} input {at}: the process ended with {process.exitcode}", flush=True)
        if process.exitcode:
            done = at + 1
    told = "; ".join(f"{count} at {where}" for where, count in found.most_common())
    if crashed:
        told = f"{sum(crashed.values())} ended the process in the library that decodes it. {told}".strip()
    row = {"fault": f"damaged input: {name}", "tries": tries, "lost": sum(crashed.values()), "stuck": stuck}
    return {**row, "foreign_errors": sum(found.values()), "note": told or f"seed {seed}"}


def main(tries: int = TRIES, seed: int = SEED) -> int:
    import fuzzers

    from training.base import guard

    guard.prepare()
    with tempfile.TemporaryDirectory() as folder:
        names = [reader.name for reader in fuzzers.all_readers(Path(folder))]
    rows = []
    for number, name in enumerate(names):
        rows.append(run(number, name, -(-tries // len(names)), seed))
        print(json.dumps(rows[-1]), flush=True)
        RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any(row["lost"] or row["stuck"] or row["foreign_errors"] for row in rows))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    sys.exit(main(*map(int, sys.argv[1:])))
