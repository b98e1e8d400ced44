"""The sample subject from start to end: trained, drawn, scored, exported, and one sheet that shows it all."""

import json
from dataclasses import dataclass
from pathlib import Path

import assets
from training.errors import BadInput
from training.run import Run


@dataclass(frozen=True)
class SampleSubject:
    """A subject that ships with the program.

    Attributes:
        places: the places of the embedded world that its own pictures show.
    """

    name: str
    class_word: str
    places: tuple[str, ...]
    pictures: tuple[Path, ...]


def sample_subjects(group: str = "subjects") -> list[SampleSubject]:
    """The sample subjects of `subjects` or `subjects_photo`, by name."""
    folder = assets.path(group)
    names = sorted(path.parent.name for path in folder.glob("*/subject.json"))
    return [sample_subject(name, group) for name in names]


def sample_subject(name: str, group: str = "subjects") -> SampleSubject:
    """One sample subject. Raises BadInput naming those there are."""
    folder = assets.path(group, name)
    if not (folder / "subject.json").is_file():
        names = ", ".join(sorted(path.parent.name for path in assets.path(group).glob("*/subject.json")))
        raise BadInput(f"There is no sample subject '{name}'.", f"There are: {names}.", field="subject")
    facts = json.loads((folder / "subject.json").read_text("utf-8"))
    pictures = tuple(sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".png")))
    return SampleSubject(facts["name"], facts["class_word"], tuple(facts["places"]), pictures)


def write_sheet(run: Run, step: int, path: Path) -> Path:
    """The contact sheet of a run: the subject's pictures, then for each prompt the base model and the adapter at `step`
    with the same seeds."""
    from evaluation.pictures import read_pictures
    from evaluation.sheets import Row, contact_sheet

    spec = run.spec
    count = len(spec.sample.seeds)
    base, adapted = read_pictures(run.samples(0)), read_pictures(run.samples(step))
    rows = [Row("your pictures", read_pictures(run.pictures()))]
    for i, prompt in enumerate(spec.sample.prompts):
        part = slice(i * count, (i + 1) * count)
        rows.append(Row(f"base model: {spec.prompt(prompt, plain=True)}", base[part]))
        rows.append(Row(f"{spec.adapter.method}, step {step}: {spec.prompt(prompt)}", adapted[part]))
    seeds = [f"seed {seed}" for seed in spec.sample.seeds]
    contact_sheet(rows, columns=seeds, title=f"{spec.name}: a {spec.class_word}", label_px=190).save(path)
    return path
