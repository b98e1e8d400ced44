"""How a job's process is started: what `accelerate launch` is told, and what arrives in the job."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from workshop import make_run, until

from app.work import launch, processes

TELL = """
import json, os, sys, time
names = ("OMP_NUM_THREADS", "ACCELERATE_MIXED_PRECISION", "ACCELERATE_DYNAMO_BACKEND", "ACCELERATE_USE_CPU")
import app
told = {name: os.environ.get(name) for name in names} | {"group": os.getpgid(0), "pid": os.getpid()}
open(sys.argv[1], "w").write(json.dumps(told))
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


@pytest.fixture
def hostile_home(tmp_path, monkeypatch):
    """A user's own accelerate settings, which a job must not pick up."""
    folder = tmp_path / "home" / "accelerate"
    folder.mkdir(parents=True)
    config = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "NO", "mixed_precision": "bf16"}
    config |= {"num_processes": 7, "use_cpu": True, "dynamo_config": {"dynamo_backend": "INDUCTOR"}}
    (folder / "default_config.yaml").write_text(json.dumps(config))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")


def test_accelerate_takes_nothing_from_the_users_settings_and_stays_in_the_group(tmp_path, hostile_home):
    run, told = make_run(tmp_path), tmp_path / "told.json"
    (tmp_path / "queue").mkdir()
    command = launch.accelerate([sys.executable, "-P", "-c", TELL, str(told), "0"], tmp_path / "queue", threads=3)
    job = launch.start(run, 1, command)
    how = job.wait()
    found = json.loads(told.read_text())
    assert found.pop("group") == job.group != os.getpgid(0)
    assert found.pop("pid") != job.group
    assert found == {
        "OMP_NUM_THREADS": "3",
        "ACCELERATE_MIXED_PRECISION": "no",
        "ACCELERATE_DYNAMO_BACKEND": "NO",
        "ACCELERATE_USE_CPU": "False",
    }
    assert how == "ended with code 1"  # accelerate's, whatever the job's: the outcome is read from state.json
    assert "non-zero exit status 3" in (run.path / "log.txt").read_text()


def test_a_closed_pipe_ends_the_whole_group(tmp_path):
    run = make_run(tmp_path)
    job = launch.start(run, 1, ["/bin/sh", "-c", "sleep 300 & exec sleep 300"])
    until(lambda: len(processes.members(job.group)) == 2)
    job.guard.stdin.close()  # what happens when the worker dies
    until(lambda: not processes.members(job.group))
    assert job.guard.wait(30) == 0
    job.guard.stdout.close()


def test_what_outlives_its_leader_after_a_signal_is_waited_for(tmp_path):
    run = make_run(tmp_path)
    saving = "trap '' TERM; echo >ready.txt; sleep 2; echo saved >saved.txt"
    job = launch.start(run, 1, ["/bin/sh", "-c", f"({saving}) & exec sleep 300"])
    until((run.path / "ready.txt").exists)
    processes.signal_group(job.group, signal.SIGTERM)
    began = time.monotonic()
    job.wait()
    assert (run.path / "saved.txt").read_text() == "saved\n"
    assert time.monotonic() - began < 60
    assert processes.members(job.group) == []


def test_a_run_folder_cannot_put_its_own_modules_in_the_way(tmp_path):
    run = make_run(tmp_path)
    (run.path / "app.py").write_text("raise SystemExit('not ours')")
    (run.path / "queue.py").write_text("raise SystemExit('not ours')")
    done = subprocess.run(
        launch.entry_command(run, 0)[:2] + ["-c", "import app, queue; print(app.__doc__)"],
        cwd=run.path,
        env=launch.environment(),
        capture_output=True,
        text=True,
    )
    assert "background worker" in done.stdout


def test_the_guard_and_the_worker_import_nothing_heavy():
    code = "import sys, app.worker, app.work.guard, app.work.entry; "
    code += "print(sorted(sys.modules.keys() & {'torch', 'diffusers'}))"
    done = subprocess.run([sys.executable, "-c", code], env=launch.environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
