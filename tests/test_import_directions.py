"""Imports run one way, delora <- training <- evaluation <- app, and what must start fast imports nothing heavy."""

import ast
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
    "training": "errors atomic jsonfile base adapterspec spec presets runs sample step subject maps loop pretrain",
    "app": """words adapters work orders control worker computer drafts actions
        web.reading web.parts web.studio web.pages web commands cli""",
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


def modules() -> dict[str, Path]:
    """Every module of the four rooms by its dotted name."""
    files = [file.relative_to(ROOT) for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__"): ROOT / file for file in files}


def arrows(known: dict[str, Path]) -> dict[str, set[str]]:
    """module -> the modules of ours that it imports, anywhere in it."""
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & known.keys()
            elif isinstance(node, ast.ImportFrom):
                parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                origin = ".".join([*parents, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{origin}.{alias.name}"
                    found[name] |= {inner if inner in known else origin} & known.keys()
        found[name].discard(name)
    return found


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

    known = modules()
    own = [name for name in known if name.startswith(f"{room}.")]
    up = [
        f"{name} imports {other}"
        for name, others in arrows(known).items()
        for other in others
        if {name, other} <= set(own) and floor(other) > floor(name)
    ]
    assert not up


def test_no_two_files_import_each_other_even_round_corners():
    known = modules()
    # A package's __init__ is where its parts meet; what they import of it by name is the part itself.
    left = {
        name: {other for other in others if known[other].name != "__init__.py"}
        for name, others in arrows(known).items()
    }
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left, "these are in a circle, or lead into one"


def test_no_room_has_more_files_side_by_side_than_one_takes_in():
    rooms = {file.parent for file in modules().values()}
    inside = [room for room in rooms if room.relative_to(ROOT).parts[0] in ("app", "training")]
    crowds = {str(room.relative_to(ROOT)): len(list(room.glob("[!_]*.py"))) for room in inside}
    assert {name: count for name, count in crowds.items() if count > 14} == {}


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
