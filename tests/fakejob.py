"""A worker and a job for tests: real processes all through, but the job only writes events, and saves empty folders.

python fakejob.py worker DATA       the worker, whose jobs are these
python fakejob.py studio DATA       a worker whose trainings are these, and whose drawings are real
python fakejob.py job RUN ATTEMPT   such a job, behind the real entry point
"""

import json
import sys
import time
from pathlib import Path

SAVE_EVERY = 5


def settings(run_path: Path) -> dict:
    """How a run's job behaves: steps, seconds a step, deaf (hears no stop), crash_at (a step), child (starts one).

    save_bytes: how large a save is; 0 is an empty folder.
    """
    path = run_path / "fake.json"
    return {"steps": 10, "seconds": 0.05} | (json.loads(path.read_text()) if path.exists() else {})


def command(run, attempt: int) -> list[str]:
    """The command of a job, in place of `app.work.launch.training_command`."""
    if settings(run.path).get("broken"):
        return [sys.executable, "-c", "raise SystemExit('no such module: torch')"]
    return [sys.executable, __file__, "job", str(run.path), str(attempt)]


def job(path: Path, lease=None) -> str:
    """What `app.work.job.run_job` would do, without a model."""
    import signal
    import subprocess

    from app.work import attempts
    from app.work.job import waiting
    from training.runs.run import Run
    from training.runs.signals import stop_on_signals
    from training.runs.states import this_process

    run, how = attempts.take(Run(path)), settings(path)
    if how.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how.get("child"):
        subprocess.Popen(["sleep", "300"])
    with stop_on_signals(run):
        run.set_state("running", phase="train", steps=how["steps"], **this_process())
        step = run.latest_checkpoint() or 0
        run.append_event({"kind": "resume", "step": step})
        while step < how["steps"]:
            if run.stop_requested() and not how.get("deaf"):
                run.checkpoint(step).mkdir(parents=True, exist_ok=True)
                run.set_state("stopped", pid=None, pid_started=None, step=step, saved_step=step)
                return "stopped"
            time.sleep(how["seconds"])
            step += 1
            if step == how.get("crash_at"):
                raise RuntimeError("the fake job crashed")
            run.append_event({"kind": "step", "step": step, "seconds": how["seconds"]})
            if step % SAVE_EVERY == 0:
                run.check_fence()
                _save(run, step, how.get("save_bytes", 0))
                if lease and lease.hand_over(waiting(run)):
                    run.set_state(phase="train", message="")
            run.beat(step=step)
        run.set_state("done", pid=None, pid_started=None)
    return "done"


def _save(run, step: int, size: int) -> None:
    from training import atomic, room
    from training.errors import from_os_error

    if size:
        room.check(run.path, size, "a save")
    try:
        with atomic.new_folder(run.checkpoint(step)) as folder:
            if size:
                (folder / "adapter.safetensors").write_bytes(bytes(size))
    except OSError as error:
        raise from_os_error(error, run.checkpoint(step)) from error


def main(verb: str, path: str, attempt: str = "0") -> int:
    """Be the worker or the job."""
    if verb == "job":
        from app.work import entry

        return entry.main(Path(path), int(attempt), job)
    import logging

    from app.orders.drawer_process import DrawerProcess
    from app.work.worker import Worker

    logging.basicConfig(level=logging.INFO)
    fakes = {"generate": lambda drawing, n: (Path(path) / f"{drawing}.{n}.drawn").touch()}
    Worker(Path(path), DrawerProcess, command, fakes if verb == "worker" else None).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
