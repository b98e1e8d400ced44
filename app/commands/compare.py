"""`delora compare`: one subject taught in several ways, with one table and one sentence at the end."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.shared.common import Data, Json, answer, command, default_data, table
from app.commands.shared.options import ADAPTER, spec_parameters, spec_values
from app.commands.train import to_its_end
from training.errors import BadInput, RunFailed

OF_THE_DRAFT = ("name", "class_word", "token", "base")
NOT_OURS = {"task", "learning_rate", "learning_rate_lambda", "steps", "save_every", "save_at", "keep_every", "seed"}
NOT_OURS |= {f"{ADAPTER}{name}" for name in ("method", "rank", "lambda_")}
OWN = {
    "pictures": Annotated[
        list[Path] | None, typer.Argument(metavar="[PICTURES...]", help="4 to 8 pictures of your subject.")
    ],
    "subject": Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of pictures: a sample subject, or a run's id.")
    ],
    "methods": Annotated[str, typer.Option(metavar="WORDS", help="Adapter methods, with commas.")],
    "rates": Annotated[
        str, typer.Option(metavar="NUMBERS", help="What each method's preset learning rates are multiplied by.")
    ],
    "ranks": Annotated[str, typer.Option(metavar="NUMBERS", help="Ranks instead of the presets'.")],
    "lambdas": Annotated[str, typer.Option(metavar="NUMBERS", help="Lambdas at the start instead of the presets'.")],
    "seeds": Annotated[str, typer.Option(metavar="NUMBERS", help="Seeds of the training.")],
    "saves": Annotated[
        str, typer.Option(metavar="STEPS", help="Steps to save at; the last one ends it. The paper's Fig. 8, scaled.")
    ],
    "resume": Annotated[
        str | None, typer.Option(metavar="COMPARISON", help="Go on with this one, or show it where it is done.")
    ],
    "html": Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write it as one HTML file with its pictures inside.")
    ],
}


def compare(
    pictures: list[Path] | None = None,
    subject: str | None = None,
    methods: str = "delora,lora",
    rates: str = "1",
    ranks: str = "",
    lambdas: str = "",
    seeds: str = "",
    saves: str = "",
    resume: str | None = None,
    html: Path | None = None,
    data: Path | None = None,
    as_json: bool = False,
    **options: Any,
) -> None:
    """Teach one subject with several methods, rates, ranks, lambdas or seeds, and say what came of each.

    Every method is taught with all of the values: two to eight columns. Ctrl-C saves and stops; `delora compare
    --resume COMPARISON` goes on from there. The page Compare shows it, also while it runs.
    """
    from app.comparisons import begin, comparison, plan

    data = data or default_data()
    if resume is not None:
        made = comparison.by_id(data, resume)
    else:
        typed = {"methods": methods, "rates": rates, "ranks": ranks, "lambdas": lambdas, "seeds": seeds, "saves": saves}
        with begin.subject(data, **_subject(data, subject, pictures or []), fields=_fields(options)) as of:
            made = begin.make(data, of, plan.parse(typed))
    _train(made, as_json)
    document = result(made)
    if html is not None:
        from app.web.parts.comparison import export

        document["html"] = str(export.write(made, html))
    answer(as_json, document, words_for(document))


def _train(made: Any, quiet: bool) -> None:
    """Train what is not finished, one column after another. A column whose numbers break down is a finding."""
    from app.adapters.saves import open_base
    from app.comparisons import begin, together
    from app.comparisons.comparison import has_finished

    if not (left := together.unfinished(made)):
        return
    base = open_base(left[0].spec.base, made.data, left[0].spec.mixed_precision)
    for run in begin.set_aside(made):
        try:
            to_its_end(run, base, quiet, f"delora compare --resume {made.id}", dino=None, clip=None)
        except RunFailed:
            if not has_finished(run.state()):
                raise


def _subject(data: Path, name: str | None, pictures: list[Path]) -> dict[str, Any]:
    """What `begin.subject` is to take. Raises BadInput where both or none are given."""
    if bool(name) == bool(pictures):
        raise BadInput("Give pictures, or --subject.", "A sample subject is --subject jeep.", "subject")
    if name:
        return {"run": name} if (data / "runs" / name).is_dir() else {"sample": name}
    from training.subject import intake

    return {"files": intake.expand(pictures)}


def _fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options as a draft has them: its own fields, and settings by their dotted names."""
    fields: dict[str, Any] = {"settings": {}}
    for name, value in spec_values(dict(options)).items():
        if name in OF_THE_DRAFT:
            fields[name] = value
        elif isinstance(value, dict):
            fields["settings"] |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            fields["settings"][name] = value
    return fields


def result(made: Any) -> dict[str, Any]:
    """What a comparison found: its sentence, and of each column the run, the recommended save and its figures."""
    from app.comparisons import looks
    from evaluation.findings import sentence

    columns = looks.columns(made)
    return {
        "comparison": made.id,
        "name": made.read().name,
        "path": str(made.path),
        "found": sentence([column.told for column in columns]),
        "columns": [column.document() for column in columns],
    }


def words_for(document: Mapping[str, Any]) -> str:
    """The same as a table and a sentence."""
    from evaluation.figures import FIGURES
    from evaluation.tasks.subject import percent

    headings = ["column", "run", "state", "take step", *(figure.name.lower() for figure in FIGURES), "not clean since"]
    headings.append("moved")
    rows = [
        [c["column"], c["run"], c["state"], _number(c["recommended"]), *(percent(c[f.key]) for f in FIGURES)]
        + [_number(c["collapsed"]), "-" if c["distance"] is None else f"{c['distance']:.3f}"]
        for c in document["columns"]
    ]
    more = [f"HTML: {document['html']}"] if "html" in document else []
    return "\n".join(
        [table(headings, rows), "", document["found"], f"Comparison: {document['comparison']} (page Compare)", *more]
    )


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


_keyword = inspect.Parameter.KEYWORD_ONLY
_defaults = inspect.signature(compare).parameters
_parameters = [
    inspect.Parameter(name, _keyword, default=_defaults[name].default, annotation=annotation)
    for name, annotation in {**OWN, "data": Data, "as_json": Json}.items()
]
compare = command(compare)
_settings = [parameter for parameter in spec_parameters("dreambooth") if parameter.name not in NOT_OURS]
compare.__signature__ = inspect.Signature([*_parameters, *_settings])
