"""`delora maps`: semantic maps looked at, converted, made from photographs and compared."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.commands.shared.common import (
    Bars,
    Data,
    Json,
    answer,
    command,
    default_data,
    on_device,
    table,
    words_for_notes,
)
from training.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from training.maps.reading import Answers, Reading

app = typer.Typer(no_args_is_help=True, help="Look at, convert, make and compare semantic maps (ADE20K's 150 classes).")
MAPS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
Numbers = Annotated[
    Literal["0-150", "0-149"] | None,
    typer.Option(help="What a grey map's numbers are where it does not show: 0-150 (0 is other) or 0-149."),
]
Shared = Annotated[
    Literal["road", "skyscraper"] | None,
    typer.Option(help="What the one colour of road and skyscraper means; road where nothing is said."),
]
Nearest = Annotated[bool, typer.Option("--nearest", help="Read unknown colours as the nearest class's.")]
OPTION = {  # kind of problem -> the option that answers it
    "which numbers": "Option: --numbers.",
    "unknown colours": "Option: --nearest.",
    "road or skyscraper": "Option: --shared.",
}


@app.command("inspect")
@command
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Maps, or folders of maps.")],
    numbers: Numbers = None,
    shared: Shared = None,
    nearest: Nearest = False,
    as_json: Json = False,
) -> None:
    """Say how each map is read, which classes it holds with their share of the pixels, and what is wrong with it."""
    from training.maps import reading

    paths = _files(files)
    with Bars(quiet=as_json) as bars:

        def counted():
            for i, path in enumerate(paths):
                bars.show("maps", i, len(paths), path.name)
                yield path

        readings = reading.read_all(counted(), answers(numbers, shared, nearest))
    documents = [_document(found) for found in readings]
    answer(as_json, documents, "\n\n".join(map(_words, documents)))


@app.command("convert")
@command
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A map.")],
    to: Annotated[
        Literal["index", "palette"],
        typer.Option(help="index: grey labels 0-149, 255 ignored; palette: ADE20K's colours, ignored black."),
    ],
    out: Annotated[Path | None, typer.Option(help="Where to write it; NAME-index.png or NAME-palette.png.")] = None,
    numbers: Numbers = None,
    shared: Shared = None,
    nearest: Nearest = False,
    as_json: Json = False,
) -> None:
    """Write a map, read in whatever way it has, as an index PNG or a palette PNG of the same size."""
    from training.maps import writing

    found = _usable(file, answers(numbers, shared, nearest))
    path = _free(out or file.with_name(f"{file.stem}-{to}.png"))
    _write(path, writing.encode(found.labels, to))
    notes = [_offered(problem) for problem in found.problems]
    if not as_json:
        words_for_notes(notes)
    document = {"file": str(file), "path": str(path), "reading": found.way, "to": to, "problems": notes}
    answer(as_json, document, f"{path}\nRead as {found.way}, {len(found.shares())} classes.")


@app.command("segment")
@command
def segment(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture.")],
    segmentor: Annotated[
        str, typer.Option(help="segmentor (downloaded), embedded (toy pictures only), or a model folder.")
    ] = "segmentor",
    to: Annotated[Literal["index", "palette"], typer.Option(help="As for convert.")] = "index",
    out: Annotated[Path | None, typer.Option(help="Where to write it; NAME-index.png or NAME-palette.png.")] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Make the map of a picture with a SegFormer, UperNet or Mask2Former of ADE20K's 150 classes."""
    from evaluation.maps import segmentor as segmentors
    from training.maps import reading, writing
    from training.subject import pictures

    image = pictures.read(photo).image
    path = _free(out or photo.with_name(f"{photo.stem}-{to}.png"))
    with on_device(data, "segment a picture"):
        judge = segmentors.load(segmentor, data)
        (labels,) = judge.segment([image])
    _write(path, writing.encode(labels, to, {"segmentor": json.dumps(judge.describe())}))
    found = reading.Reading(path, reading.LABELS, labels, reading.count(labels))
    document = {"file": str(photo), "path": str(path), "segmentor": judge.describe(), "classes": _classes(found)}
    answer(as_json, document, f"{path}\n  {_shares(document['classes'])}")


@app.command("evaluate")
@command
def evaluate(
    predicted: Annotated[Path, typer.Argument(metavar="PREDICTED", help="Folder of predicted maps, or one map.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Folder of true maps of the same names, or one.")],
    predicted_numbers: Numbers = None,
    truth_numbers: Numbers = None,
    shared: Shared = None,
    nearest: Nearest = False,
    as_json: Json = False,
) -> None:
    """Score predicted maps: mIoU as the field counts it, pixel accuracy, and each class's IoU."""
    from evaluation.maps.folders import compare

    with Bars(quiet=as_json) as bars:
        compared = compare(
            predicted,
            truth,
            predicted_answers=answers(predicted_numbers, shared, nearest),
            truth_answers=answers(truth_numbers, shared, nearest),
            progress=lambda done, total: bars.show("maps", done, total),
        )
    scores = compared.agreement.scores()
    words_for_notes(list(compared.notes))
    rows = [[c.name, f"{c.iou:.3f}"] for c in sorted(scores.classes, key=lambda c: -c.pixels)]
    low, high = compared.agreement.interval(scores.headline)
    figures = {"miou": "mIoU", "miou_present": "mIoU over classes present"}
    lines = [
        f"{words} {getattr(scores, name):.4f}"
        + (f" (95 % of resampled maps: {low:.4f} to {high:.4f})" if name == scores.headline else "")
        for name, words in sorted(figures.items(), key=lambda pair: pair[0] != scores.headline)
    ]
    lines.append(f"pixel accuracy {scores.pixel_accuracy:.4f}, {scores.maps} maps")
    answer(as_json, scores.to_dict(), "\n".join([*lines, "", table(["class", "IoU"], rows)]))


def answers(numbers: str | None, shared: str | None, nearest: bool) -> "Answers":
    """What the three options said."""
    from training.maps.reading import Answers

    return Answers(numbers, shared, nearest)


def _files(given: list[Path]) -> list[Path]:
    """Files as they are, folders as the pictures in them. Raises BadInput for what is not there or holds none."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in MAPS and p.name[0] != ".")
            if not inside:
                raise BadInput(f"{path} holds no maps.", "Give PNG files, or a folder of them.")
            found += inside
        elif not path.exists():
            raise BadInput(f"{path} is not there.", "Check the path.")
        else:
            found.append(path)
    return found


def _usable(file: Path, said: "Answers") -> "Reading":
    """A map that can be used as it is read. Raises BadInput with what stops it and the option that answers it."""
    from training.maps import reading

    if file.is_dir():
        raise BadInput(f"{file} is a folder.", "Give one map.")
    found = reading.read(_files([file])[0], said)
    try:
        reading.need(found)
    except BadInput as error:
        raise BadInput(error.message, f"{error.remedy} {OPTION.get(error.field, '')}".strip()) from error
    return found


def read_map(file: Path, said: "Answers") -> "np.ndarray":
    """The labels of a map for other commands, (H, W) uint8; what is worth knowing goes to stderr. Raises BadInput."""
    found = _usable(file, said)
    words_for_notes([_offered(problem) for problem in found.problems])
    return found.labels


def _free(path: Path) -> Path:
    """A path that no file has yet. Raises BadInput for one that is there."""
    if path.exists():
        raise BadInput(f"{path} exists already.", "Choose another name with --out; nothing is overwritten.")
    return path


def _write(path: Path, data: bytes) -> None:
    """Write a new file. Raises as `training.errors.from_os_error`."""
    from training.atomic import write_bytes
    from training.errors import from_os_error

    try:
        write_bytes(path, data)
    except OSError as error:
        raise from_os_error(error, path) from error


def _classes(found: "Reading") -> list[dict]:
    from training.maps.classes import NAMES

    return [{"index": i, "name": NAMES[i], "share": share} for i, share in found.shares().items()]


def _document(found: "Reading") -> dict:
    return {
        "file": str(found.path),
        "reading": found.way,
        "classes": _classes(found),
        "ignored": found.ignored,
        "problems": [_offered(problem) for problem in found.problems],
    }


def _offered(problem) -> str:
    """A problem in words with its offer and the option that takes it."""
    return " ".join(filter(None, (problem.words, problem.offer, OPTION.get(problem.kind))))


def _words(document: dict) -> str:
    lines = [f"{document['file']}: {document['reading'] or 'no map'}"]
    if document["ignored"] is not None:
        lines.append(f"  {_shares(document['classes'])}; of no class {100 * document['ignored']:.1f} %")
    return "\n".join([*lines, *(f"  {words}" for words in document["problems"])])


def _shares(classes: list[dict]) -> str:
    return ", ".join(f"{row['name']} {100 * row['share']:.1f} %" for row in classes) or "no class"
