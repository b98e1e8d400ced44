"""The entry point of a job's process, whatever engine started it: takes the run up, waits for the device, does the job.

python -m app.work.entry RUN_FOLDER ATTEMPT
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from app.work import attempts, devices, output
from app.work.devices import Lease
from app.work.job import run_job, take_up, waiting
from training.errors import BadInput, Stopped, StudioError, Superseded, disk_full
from training.runs import endings
from training.runs.run import Run
from training.runs.statefolder import StateFolder

BEAT_SECONDS = 2.0


Job = Callable[[Path, Lease | None], object]


def main(path: Path, attempt: int, job: Job = run_job) -> int:
    """Do the job of a run as its attempt number `attempt`; returns the exit code.

    Leaves at once, with nothing changed, where the run is done or somebody else has taken it up. job: what to do with
    the run's folder and the lease on the device; tests give something smaller.
    """
    if int(os.environ.get("RANK", "0")) > 0:  # a further process of one run; the first one speaks for all
        return _do(path, job, None)
    try:
        run = take_up(attempts.take(Run(path), attempt))
    except (Superseded, BadInput) as error:
        print(error, file=sys.stderr)
        return 0
    with beating(run):
        try:
            data, words = run.path.parent.parent, f"{run.name}: training"
            with devices.owner(data, words, waiting(run), run=run.id) as lease:
                run.set_state(phase="", message="")
                return _do(path, job, lease)
        except Superseded as error:
            print(error, file=sys.stderr)
            return 0
        except Stopped:
            run.set_state("stopped", **endings.released(run))
            return Stopped.exit_code
        except Exception as error:
            if full := disk_full(error):
                with contextlib.suppress(StudioError):  # the worker settles it
                    endings.out_of_room(run, full)
                return full.exit_code
            if isinstance(error, StudioError):
                endings.failed(run, error.message, error.remedy)
                return error.exit_code
            endings.failed(run, f"{type(error).__name__}: {error}", "The whole report is in the run's log.txt.")
            traceback.print_exc()
            return 1


@contextlib.contextmanager
def beating(run: StateFolder) -> Iterator[None]:
    """Write the heartbeat of a run or an order while inside, also while one long call goes on.

    A superseded run is left alone.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                if not run.state().ended:
                    run.beat()
            except Superseded:
                return
            except (StudioError, OSError):
                continue  # a full disk, a state just being put back: the job itself will say so

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _do(path: Path, job: Job, lease: Lease | None) -> int:
    return {"done": 0, "stopped": Stopped.exit_code, "failed": 4, "interrupted": 4}.get(str(job(path, lease)), 0)


if __name__ == "__main__":
    output.never_fails()
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
