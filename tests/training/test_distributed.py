"""One run spread over two processes (gloo on the CPU) learns what one process with twice the accumulation learns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tinypipeline
import torch
from safetensors.torch import load_file

import delora
from training import loop


@pytest.mark.slow
def test_two_processes_learn_what_one_with_twice_the_accumulation_learns(tmp_path, tiny_folder, tiny_base):
    alone = tinypipeline.run(tmp_path, tiny_folder, steps=3, gradient_accumulation=2)
    spread = tinypipeline.run(tmp_path, tiny_folder, steps=3)
    loop.train(alone, tiny_base)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = Path(__file__).with_name("train_run.py")
    path = os.pathsep.join([str(Path(delora.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*launch, str(script), str(tiny_folder), str(spread.path)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("done") == 2
    losses = [[e["loss"] for e in run.history("step")] for run in (alone, spread)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert spread.checkpoints() == [2, 3] and len(spread.events("save")) == 2
    mine, theirs = (load_file(run.checkpoint(3) / "adapter.safetensors") for run in (alone, spread))
    assert all(torch.allclose(mine[key], theirs[key], atol=2e-3) for key in mine)
