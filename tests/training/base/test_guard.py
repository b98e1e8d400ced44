"""A torchvision that cannot be imported must not take diffusers down. Each claim in a process of its own: what is
imported stays imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(code: str, *path: Path) -> str:
    """Standard output of `code` in a fresh interpreter that finds `path` before the installed packages."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake_torchvision(folder: Path, body: str, requires: str) -> Path:
    package = folder / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import torchvision.half\n" + body)
    (package / "half.py").write_text("")
    info = folder / "torchvision-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torchvision\nVersion: 9.9.9\nRequires-Dist: {requires}\n"
    )
    return folder


def test_diffusers_imports_beside_a_torchvision_that_raises(tmp_path):
    raises = fake_torchvision(tmp_path, "raise RuntimeError('operator torchvision::nms does not exist')\n", "torch")
    out = run(
        "from training.base import guard; notes = guard.prepare(); print(notes[0])\n"
        "import sys; assert 'torchvision.half' not in sys.modules\n"
        "from diffusers import StableDiffusionPipeline; from transformers import CLIPTextModel\n"
        "assert guard.prepare() == notes; print('both imported')",
        raises,
    )
    assert "operator torchvision::nms does not exist" in out and out.endswith("both imported")


def test_a_torchvision_for_another_torch_is_hidden_without_being_run(tmp_path):
    wrong = fake_torchvision(tmp_path, "print('I was run')\n", "torch (==1.0.0)")
    out = run(
        "from training.base import guard; print(guard.prepare()[0])\n"
        "import importlib.util; assert importlib.util.find_spec('torchvision') is None",
        wrong,
    )
    assert "built for torch ==1.0.0" in out and "I was run" not in out


def test_a_working_torchvision_is_left_alone(tmp_path):
    works = fake_torchvision(tmp_path, "fine = True\n", "torch (>=2.0)")
    assert (
        run("from training.base import guard; print(guard.prepare())\nimport torchvision; torchvision.fine", works)
        == "[]"
    )


def test_the_guard_itself_imports_nothing_heavy():
    out = run(
        "import sys, training.base.guard; "
        "print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    assert out == "[]"


def test_telemetry_and_the_conversion_service_are_off_before_the_libraries_are_imported():
    out = run(
        "from training.base import guard; guard.prepare()\n"
        "from huggingface_hub import constants\n"
        "import os; print(constants.HF_HUB_DISABLE_TELEMETRY, os.environ['DISABLE_SAFETENSORS_CONVERSION'])"
    )
    assert out == "True 1"
