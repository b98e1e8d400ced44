"""What pydantic found wrong with values, in one sentence for a person, with the description of the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from training.adapterspec import METHODS, SPECS
from training.errors import BadInput

PLAIN_RULES = {  # pydantic's kind of problem -> its rule in plainer words
    "int_parsing": "It must be a whole number",
    "int_from_float": "It must be a whole number",
    "float_parsing": "It must be a number",
    "finite_number": "It must be a number",
    "bool_parsing": "It must be yes or no",
}
RULE_BEGINS = re.compile("^(Input|String|Tuple) should")


def explain(error: ValidationError, model: type[BaseModel]) -> BadInput:
    """The first thing that pydantic found in values for `model`, in one sentence for a person."""
    return explain_all(error, model)[0]


def explain_all(error: ValidationError, model: type[BaseModel]) -> list[BadInput]:
    """All that pydantic found in values for `model`, one sentence each."""
    return [_sentence(problem, model) for problem in error.errors(include_url=False)]


def _sentence(problem: Mapping[str, Any], model: type[BaseModel]) -> BadInput:
    path = [str(part) for part in problem["loc"]]
    if path[:1] == ["adapter"] and path[1:2] and path[1] in METHODS:
        del path[1]  # pydantic names the member of the union there
    field, given = ".".join(path), problem["input"]
    if problem["type"] == "value_error":
        words = str(problem["ctx"]["error"])
        if path in ([], ["adapter"]):  # a rule between fields; its sentence begins with the one to change
            return BadInput(words, "Change one of them.", ".".join([*path, words.split(" ")[0]]))
        return BadInput(words, "", field)
    if problem["type"] == "missing":
        return BadInput(f"{field} is not given.", _describe(path, model), field)
    if problem["type"] == "extra_forbidden":
        return BadInput(f"{field}: there is no such setting.", "Check its spelling, or leave it out.", field)
    if problem["type"] == "string_too_short":
        return BadInput(f"{field} is empty.", _describe(path, model), field)
    if problem["type"].startswith("union_tag"):
        return BadInput("adapter.method: no such method.", problem["msg"].rpartition("expected tags: ")[2], field)
    given = repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:76]} ..."
    rule = RULE_BEGINS.sub("It must", problem["msg"]).replace(" after validation", "")
    rule = PLAIN_RULES.get(problem["type"], rule)
    return BadInput(
        f"{field}: {given} cannot be used. {rule}.",
        _describe(path, model),
        field,
    )


def _describe(path: list[str], model: type[BaseModel]) -> str:
    """The description of the field of `model` at `path`, if it is one."""
    for part in path:
        kinds = SPECS.values() if part != path[0] and path[0] == "adapter" else [model]
        info = next((kind.model_fields[part] for kind in kinds if part in kind.model_fields), None)
        if info is None:
            return ""
        model = info.annotation if isinstance(info.annotation, type) else model
    return info.description or ""
