"""`delora ...`: every action at the command line.

Nothing heavy is imported before a command needs it: `delora --help` answers at once.
"""

import typer

from app.commands import app as studio
from app.commands import (
    compare,
    demo,
    doctor,
    export,
    generate,
    imports,
    maps,
    models,
    runs,
    score,
    study,
    train,
    worker,
)
from app.commands.shared.common import EXIT_CODES

cli = typer.Typer(
    name="delora",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Personalize Stable Diffusion with DeLoRA: pictures in, a personal adapter, pictures and scores out.",
    epilog=EXIT_CODES,
)
for name, function in (
    ("demo", demo.demo),
    ("train", train.train),
    ("compare", compare.compare),
    ("generate", generate.generate),
    ("score", score.score),
    ("export", export.export),
    ("import", imports.import_lora),
    ("app", studio.app),
    ("worker", worker.worker),
    ("doctor", doctor.doctor),
):
    cli.command(name, epilog=EXIT_CODES)(function)
cli.add_typer(runs.app, name="runs", epilog=EXIT_CODES)
cli.add_typer(models.app, name="models", epilog=EXIT_CODES)
cli.add_typer(maps.app, name="maps", epilog=EXIT_CODES)
cli.add_typer(study.app, name="study", epilog=EXIT_CODES)


def main() -> None:
    """The `delora` command."""
    cli()
