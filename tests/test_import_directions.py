"""Imports run one way, delora <- training <- evaluation <- app, and what must start fast imports nothing heavy."""

import ast
import graphlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["delora", "training", "evaluation", "app"]
# From the ground up: a room imports what stands before it, and itself. The longest name that fits is a file's room.
FLOORS = {
    "training": """errors room jsonfile atomic base adapterspec specwords runspec spec presets runs sample step subject
        maps loop together pretrain""",
    "app": """terminal words ownfolders adapters work orders control worker computer drafts comparisons
        actions web.reading web.parts web.uploads web.studio web.door web.pages web commands cli""",
}
HEAVY = {
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "peft",
    "gradio",
    "matplotlib",
    "huggingface_hub",
    "pandas",
}


def imported(file: Path) -> Iterator[tuple[str, int]]:
    """Every top-level package that a file imports, anywhere in it, with the line."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], node.lineno


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_from_above(room):
    above = set(ROOMS[ROOMS.index(room) + 1 :]) | {"tests", "benchmarks"}
    faults = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in sorted((ROOT / room).rglob("*.py"))
        for name, line in imported(file)
        if name in above
    ]
    assert not faults


@pytest.mark.parametrize("room", ["training", "app"])
def test_inside_a_room_no_import_runs_up(room):
    floors = FLOORS[room].split()

    def floor(name: str) -> int:
        inner = name.removeprefix(f"{room}.")
        fitting = [place for place in floors if inner == place or inner.startswith(f"{place}.")]
        assert fitting, f"{name} has no place in FLOORS"
        return floors.index(max(fitting, key=len))

    inside = {name: others for name, others in graph().items() if name.startswith(f"{room}.")}
    up = [f"{a} imports {b}" for a, others in inside.items() for b in others & inside.keys() if floor(b) > floor(a)]
    assert not up


def test_no_import_leads_back_to_where_it_came_from():
    """Imports inside functions, and those for type hints alone, count too."""
    found = graph("benchmarks")
    assert found["delora.methods"] >= {"delora.config", "delora.fused"}  # relative imports are read
    assert found["training.pretrain.toyworld.instances"] >= {"training.pretrain.toyworld.cache"}  # absolute ones too
    graphlib.TopologicalSorter(found).prepare()  # a CycleError names the circle


def test_no_room_has_more_files_side_by_side_than_one_takes_in():
    rooms = [folder for top in ("app", "training") for folder in (ROOT / top, *(ROOT / top).rglob("*/"))]
    crowds = {str(room.relative_to(ROOT)): len(list(room.glob("[!_]*.py"))) for room in rooms}
    assert {name: count for name, count in crowds.items() if count > 15} == {}


def graph(*further: str) -> dict[str, set[str]]:
    """module -> the modules that it imports, of the four rooms and `further` ones."""
    files = [file for room in [*ROOMS, *further] for file in (ROOT / room).rglob("*.py")]
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    return {name: set(siblings(name, file, names)) - {name} for name, file in names.items()}


def siblings(name: str, file: Path, names: dict[str, Path]) -> Iterator[str]:
    """The modules among `names` that a module imports."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            # `from training import guard` names a module, `from training.guard import prepare` one of its functions
            parts = [f"{source}.{alias.name}" for alias in node.names]
            wanted = [part if part in names else source for part in parts]
        else:
            continue
        yield from (module for module in wanted if module in names)


def test_delora_knows_only_torch_safetensors_and_the_standard_library():
    allowed = sys.stdlib_module_names | {"torch", "safetensors", "delora"}
    faults = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in sorted((ROOT / "delora").rglob("*.py"))
        for name, line in imported(file)
        if name not in allowed
    ]
    assert not faults


@pytest.mark.parametrize(
    "module",
    [
        "app.cli",
        "app.computer.doctor",
        "training.base.catalog",
        "training.errors",
        "training.base.guard",
        "training.base.hub",
        "training.base.models",
        "training.runs.rundir",
        "training.spec",
    ],
)
def test_start_up_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & {HEAVY!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
