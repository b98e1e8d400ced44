"""What a run can teach, by the name in its spec. A new kind is a class in this folder and a line in TASKS."""

from evaluation.tasks.maps import Maps
from evaluation.tasks.subject import Subject
from evaluation.tasks.task import Task
from training.spec import RunSpec

TASKS: dict[str, Task] = {task.name: task for task in (Subject(), Maps())}


def of(spec: RunSpec) -> Task:
    """What a run of this spec teaches."""
    return TASKS[spec.task]
