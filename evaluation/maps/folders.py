"""Two folders of map files compared: predicted ones with the true ones of like names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.maps.agreement import CLASSES, FEW_MAPS, Agreement
from training.errors import BadInput
from training.maps import reading
from training.maps.pairs import IMAGES, MARK
from training.maps.reading import CHALLENGE, EITHER, LABELS, Answers, Reading

SAID = {CHALLENGE: "0-150", LABELS: "0-149"}
FAR_BETTER, A_THIRD = 2.0, 1 / 3  # times the pixel accuracy, and of all pixels


@dataclass(frozen=True)
class Compared:
    """Two folders' agreement, and in words what was assumed and what looks wrong."""

    agreement: Agreement
    notes: tuple[str, ...]


def compare(
    predicted: Path,
    truth: Path,
    *,
    predicted_answers: Answers = reading.NONE,
    truth_answers: Answers = reading.NONE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Compared:
    """Compare every map of `truth` with the predicted one of its name. Either may also be one file.

    Raises:
        BadInput: no folder, no maps, a true map without a prediction, a map that cannot be read or is of another size,
            each with its file; grey maps of which nothing tells what their numbers mean.
    """
    partners, notes = _partners(predicted, truth)
    guessed = reading.read_all([guess for guess, _ in partners], predicted_answers)
    true = reading.read_all([fact for _, fact in partners], truth_answers)
    predicted_answers, truth_answers, assumed = _settle(guessed, true, predicted_answers, truth_answers)
    agreement = Agreement()
    for i, (guess, fact) in enumerate(zip(guessed, true, strict=True)):
        progress(i, len(partners))
        labels = reading.labels_of(guess.path, _as_read(guess, predicted_answers))
        right = reading.labels_of(fact.path, _as_read(fact, truth_answers))
        if labels.shape != right.shape:
            raise BadInput(
                f"{guess.path} is {_size(guess)} pixels and {fact.path} {_size(fact)}.",
                "Give predictions of the true maps' size.",
            )
        agreement.add(str(i), labels, right)
    progress(len(partners), len(partners))
    notes += assumed + _shift(agreement)
    if len(partners) < FEW_MAPS:
        notes.append(f"With {len(partners)} maps (fewer than {FEW_MAPS}) look at the mIoU over classes present.")
    return Compared(agreement, tuple(notes))


def _partners(predicted: Path, truth: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """(predicted, true) files of like names, in order of name, and a note on predictions that are left over."""
    if truth.is_file() and predicted.is_file():
        return [(predicted, truth)], []
    guesses, facts = _maps(predicted), _maps(truth)
    missing = sorted(facts.keys() - guesses.keys())
    if missing:
        few = ", ".join(facts[name].name for name in missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise BadInput(
            f"{predicted} has no map for {len(missing)} of the {len(facts)} in {truth}: {few}",
            "Give predictions of the same names, or only the true maps that have one.",
        )
    left = len(guesses) - len(facts)
    notes = [f"{left} predicted maps have no true one and are left out."] if left else []
    return [(guesses[name], facts[name]) for name in sorted(facts)], notes


def _maps(folder: Path) -> dict[str, Path]:
    """The maps below a folder by their names, without what marks them as maps."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder.", "Give two folders of maps, or two maps.")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() in IMAGES and not any(part.startswith(".") for part in inside.parts):
            name = str(inside.with_name(MARK.sub("", path.stem)))
            if name in found:
                raise BadInput(f"{found[name]} and {path} have one name.", "Leave one of them.")
            found[name] = path
    if not found:
        raise BadInput(f"{folder} holds no maps.", "Give a folder of PNG maps.")
    return found


def _settle(
    guessed: list[Reading], true: list[Reading], predicted_answers: Answers, truth_answers: Answers
) -> tuple[Answers, Answers, list[str]]:
    """Say what grey maps mean that could be two things, where the others tell.

    A segmentor answers with a class everywhere, so a prediction that holds 0 has labels, where 0 is wall; in 0-150 it
    would be "other". Where only one side can be told, the other is taken to be like it.
    """
    sides = {"predicted": (guessed, predicted_answers), "true": (true, truth_answers)}
    ways = {side: _way(readings, answers) for side, (readings, answers) in sides.items()}
    notes = []
    if ways["predicted"] is EITHER and any(_holds_zero(found) for found in guessed if found.way == EITHER):
        ways["predicted"] = LABELS
        notes.append("The predicted maps hold 0 and are read as labels 0-149, 0 being wall.")
    for side, other in (("predicted", "true"), ("true", "predicted")):
        if ways[side] is EITHER and ways[other] in SAID:
            ways[side] = ways[other]
            said = SAID[ways[side]]
            notes.append(f"The {side} maps could be 0-150 or 0-149; they are read as {said}, like the others.")
    if EITHER in ways.values():
        raise BadInput(
            "Nothing tells whether the numbers in these maps are 0-150 (0 is other) or 0-149 (255 is ignored).",
            "Say which with --predicted-numbers and --truth-numbers.",
        )
    predicted_way, truth_way = (SAID.get(way) for way in ways.values())
    return (
        replace(predicted_answers, grey=predicted_way or predicted_answers.grey),
        replace(truth_answers, grey=truth_way or truth_answers.grey),
        notes,
    )


def _way(readings: list[Reading], answers: Answers) -> str:
    """How a side's grey maps are numbered, EITHER where nothing tells, "" where it has none."""
    grey = {found.way for found in readings} & {CHALLENGE, LABELS, EITHER}
    if EITHER in grey:
        told = grey - {EITHER}
        return told.pop() if len(told) == 1 else EITHER
    return grey.pop() if len(grey) == 1 else ""


def _holds_zero(found: Reading) -> bool:
    return bool((reading.read(found.path, Answers(grey="0-149")).labels == 0).any())


def _as_read(found: Reading, answers: Answers) -> Answers:
    """The answers under which a file is read again as it was."""
    return replace(answers, grey=SAID.get(found.way) or answers.grey)


def _shift(agreement: Agreement) -> list[str]:
    """A note where predictions fit far better with all classes moved by one: the numbers were read the wrong way."""
    square = agreement.matrix[:, :CLASSES]
    right = square.trace()
    for offset, words in ((1, "one less"), (-1, "one more")):
        moved = square.trace(offset)
        if moved > max(FAR_BETTER * right, A_THIRD * square.sum()):
            would, does = (f"{100 * pixels / square.sum():.0f} %" for pixels in (moved, right))
            return [
                f"{would} of the pixels would agree if each predicted class were {words}, and {does} do: the two are "
                "most likely numbered differently. Say how with --predicted-numbers and --truth-numbers."
            ]
    return []


def _size(found: Reading) -> str:
    return f"{found.size[0]} x {found.size[1]}"
