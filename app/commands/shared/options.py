"""The options of `delora train`, made from RunSpec: names, types and help come from its fields and descriptions.

An option that is not given is left to the preset of `--effort`, so every default here is None.
"""

import inspect
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from training.adapterspec import METHODS, read_fields
from training.spec import KINDS, RunSpec, own_settings

ADAPTER, SAMPLE = "adapter__", "sample__"  # how a parameter of a nested model is told apart
NOT_OPTIONS = {"version", "adapter", "sample", "parent", "start_step"}
FLAGS = {  # where the field's own name would not read well
    "targets": "--target",
    "threads": "--threads",
    "held_out": "--held-out-count",  # --held-out names their folder
    f"{SAMPLE}prompts": "--prompt",
    f"{SAMPLE}seeds": "--sample-seed",
    f"{SAMPLE}steps": "--sample-steps",
    f"{SAMPLE}guidance": "--guidance",
    f"{SAMPLE}negative": "--negative",
    f"{ADAPTER}lambda_": "--lambda",
}
METAVARS = {int: "N", float: "X", str: "TEXT"}
OF_TASKS = {"dreambooth": "A subject", "maps": "Pictures from maps"}  # the panels of their own settings


def spec_parameters(*tasks: str) -> list[inspect.Parameter]:
    """One keyword parameter for each setting of a run of these tasks, of any where none is named."""
    kinds = {task: kind for task, kind in KINDS.items() if not tasks or task in tasks}
    task = FieldInfo(annotation=Literal[tuple(KINDS)], description="What is taught: a subject, or pictures from maps.")
    first = {"task": task} | {name: RunSpec.model_fields[name] for name in ("name", "base")}
    found = [_parameter(name, info, "What is taught") for name, info in first.items()]
    for task, panel in ((task, OF_TASKS[task]) for task in kinds):
        own = own_settings(task)
        found += [_parameter(name, info, panel) for name, info in _fields(KINDS[task]) if name in own]
    seen = {"method": FieldInfo(annotation=Literal[METHODS], description="The adapter method.")}
    for kind in METHODS:
        seen |= {name: info for name, info in read_fields(kind).items() if name not in seen}
    # Patterns (a dictionary of layers) are for the JSON of a spec, not for a command line.
    found += [
        _parameter(ADAPTER + name, info, "Adapter") for name, info in seen.items() if not name.endswith("pattern")
    ]
    found += [_parameter(name, info, "Training") for name, info in _fields(RunSpec) if name not in first]
    drawn = {name: info for kind in kinds.values() for name, info in _fields(kind.model_fields["sample"].annotation)}
    found += [_parameter(SAMPLE + name, info, "Pictures drawn at each save") for name, info in drawn.items()]
    return found


def spec_values(options: dict[str, Any]) -> dict[str, Any]:
    """The given options as (nested) RunSpec values; those left out are not in it."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    values: dict[str, Any] = {}
    for name, value in given.items():
        group, _, inner = name.rpartition("__")
        (values.setdefault(group, {}) if group else values)[inner] = value
    return values


def _fields(model) -> list[tuple[str, FieldInfo]]:
    return [(name, info) for name, info in model.model_fields.items() if name not in NOT_OPTIONS]


def _parameter(name: str, info: FieldInfo, panel: str) -> inspect.Parameter:
    inner = name.rpartition("__")[2]
    flag = FLAGS.get(name, f"--{inner.strip('_').replace('_', '-')}")
    kind, repeated = _plain(info.annotation)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    words = info.description + (f" One of {', '.join(choices)}." if choices else "")
    words += " May be given several times." if repeated else ""
    # Short stand-ins for the values leave the names room in a terminal of 80 columns.
    metavar = None if kind is bool else "WORD" if choices else METAVARS[kind]
    option = typer.Option(flag, help=words, metavar=metavar, show_default=False, rich_help_panel=panel)
    annotation = Annotated[(list[kind] if repeated else kind) | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain(annotation: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there may be several: `int | None` -> int, `tuple[str, ...]` -> str."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False
