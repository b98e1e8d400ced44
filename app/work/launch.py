"""How a job's process is started: `accelerate launch` with everything said, in a process group of its own, guarded.

Whatever accelerate is not told it takes from the user's own default_config.yaml or guesses, and it gives a trainer one
thread; so the config file, processes and threads are ours. A signal to accelerate alone would orphan the trainer; so
signals go to the group, and the group has a guard (`app.work.guard`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.work import processes
from app.work.engines.local import usable_threads
from training import atomic
from training.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[[Run, int], list[str]]


def training_command(run: Run, attempt: int) -> list[str]:
    """The command that trains a run: one process, with the threads that its spec or the environment sets, or all."""
    threads = run.spec.threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or usable_threads()
    return accelerate(entry_command(run, attempt), run.path.parent.parent / "queue", threads=threads)


def entry_command(run: Run, attempt: int) -> list[str]:
    """The command of the job itself, the same whatever starts it."""
    return [sys.executable, "-P", "-m", "app.work.entry", str(run.path.resolve()), str(attempt)]


def accelerate(command: list[str], folder: Path, *, threads: int, processes: int = 1) -> list[str]:
    """`command` under `accelerate launch`, with a config file of ours in `folder`."""
    config = folder / "accelerate.json"
    several = ["--multi_gpu"] if processes > 1 else []
    text = json.dumps(_config(processes), indent=2) + "\n"
    if not config.is_file() or config.read_text("utf-8") != text:  # nearly always there: a full disk is no matter then
        atomic.write_text(config, text)
    return [
        *(sys.executable, "-P", "-m", "accelerate.commands.launch"),
        *("--config_file", str(config)),
        *("--num_processes", str(processes), "--num_machines", "1", *several),
        *("--num_cpu_threads_per_process", str(threads)),
        *("--mixed_precision", "no"),  # the trainer chooses it itself, from the run's spec
        *("--dynamo_backend", "no"),
        "--no_python",
        *command,
    ]


def _config(processes: int) -> dict:
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU" if processes > 1 else "NO",
        "num_processes": processes,
        "num_machines": 1,
        "mixed_precision": "no",
        "use_cpu": False,
    }


def environment() -> dict[str, str]:
    """The environment of a job: this one, in which the job finds our packages whether they are installed or not."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if str(ROOT) != sysconfig.get_path("purelib"):
        paths.insert(0, str(ROOT))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@dataclass
class Job:
    """A job that was started: its guard, and the process group that the guard minds."""

    guard: subprocess.Popen
    group: int
    oom_kills: int

    def wait(self) -> str:
        """Wait until nothing of the job lives; returns how it ended, in words.

        Where the guard itself was killed, the group is ended from here.
        """
        said = self.guard.stdout.read().strip()
        code = self.guard.wait()
        self.guard.stdin.close()
        self.guard.stdout.close()
        if code != 0:
            processes.end_group(self.group)
            return "its guard was killed"
        return said

    @property
    def out_of_memory(self) -> bool:
        """Whether the system ended processes for want of memory since the job was started."""
        return processes.oom_kills() > self.oom_kills


def start(run: Run, attempt: int, command: list[str]) -> Job:
    """Start a job under a guard; what it prints goes to the run's log.txt.

    The guard reads from a pipe whose other end only this process holds: the pipe closes when this process ends,
    however it ends, and the guard ends the job. Raises OSError where the guard cannot be started or ended early.
    """
    guard = subprocess.Popen(
        [sys.executable, "-P", "-m", "app.work.guard", str(run.path.resolve()), str(attempt), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        text=True,
    )
    line = guard.stdout.readline()
    if not line.strip().isdigit():
        guard.kill()
        code = guard.wait()
        guard.stdin.close()
        guard.stdout.close()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ChildProcessError(f"its guard {how} before the training began")
    return Job(guard, int(line), processes.oom_kills())
