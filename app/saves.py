"""The saves of a run: which one to take when nobody said, and opening one on its base model."""

from training.errors import BadInput, MissingModel
from training.rundir import Run


def best_step(run: Run) -> int:
    """The recommended save, or else the last one. Raises BadInput where nothing is saved yet."""
    saved = run.checkpoints()
    if not saved:
        raise BadInput(f"Run {run.id} has no save yet.", "Wait for the first one, or train it further.", field="run")
    scores = run.scores()
    recommended = scores and scores["recommendation"]["step"]
    return recommended if recommended in saved else saved[-1]
