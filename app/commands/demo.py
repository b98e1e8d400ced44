"""`delora demo`: the whole job on a sample subject."""

from typing import Annotated, Literal

import typer

from app.commands.shared.common import Data, Json, command, default_data
from app.commands.train import finish, new_run
from evaluation.tasks.task import Given


@command
def demo(
    subject: Annotated[str, typer.Option(help="Which sample subject.")] = "jeep",
    method: Annotated[Literal["delora", "lora"], typer.Option(help="The adapter method.")] = "delora",
    effort: Annotated[Literal["quick", "balanced", "thorough"], typer.Option(help="How long to train.")] = "quick",
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Train the built-in model on a sample subject, draw and score at each save, export, and write a contact sheet.

    One to two minutes on two processor cores. Nothing is downloaded.
    """
    from evaluation.samplesubjects import sample_subject, unseen_prompts

    chosen = sample_subject(subject)
    values = {
        "name": chosen.name,
        "class_word": chosen.class_word,
        "adapter": {"method": method},
        "sample": {"prompts": unseen_prompts(chosen)},
    }
    if effort == "quick":  # a first look: fewer class pictures, saves and sampler steps
        values |= {"class_pictures": 24, "save_every": 60, "sample": {**values["sample"], "steps": 15}}
    run, base = new_run(Given(chosen.pictures), values, effort, data)
    finish(run, base, as_json, sheet=True)
