"""Contact sheets: labelled rows and columns of pictures on one picture, for looking at."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from evaluation.pictures import read_pictures
from training.runs.run import Run
from training.spec import fill

GAP_PX = 6
INK, PAPER = (32, 33, 36), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """One row of a sheet: its label, its pictures, and optionally a caption under each picture."""

    label: str
    pictures: Sequence[Image.Image]
    captions: Sequence[str] = ()


def contact_sheet(
    rows: Sequence[Row], *, columns: Sequence[str] = (), title: str = "", cell_px: int = 128, label_px: int = 150
) -> Image.Image:
    """One RGB picture: a title, a line of column labels, and each row's label left of its pictures.

    Rows may have different lengths. Pictures are fitted into square cells of `cell_px`,
    labels are broken into lines that fit.
    """
    if not rows:
        raise ValueError("A contact sheet needs at least one row.")
    count = max(len(row.pictures) for row in rows)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    step = cell_px + GAP_PX
    column_lines = [_lines(text, small, cell_px) for text in columns]
    top = GAP_PX + (30 if title else 0) + (max(len(lines) for lines in column_lines) * 17 + 4 if column_lines else 0)
    heights = [step + (17 * _caption_lines(row, small, cell_px) + 2 if row.captions else 0) for row in rows]
    sheet = Image.new("RGB", (label_px + count * step + GAP_PX, top + sum(heights) + GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((GAP_PX + 4, GAP_PX), title, font=large, fill=INK)
    for index, lines in enumerate(column_lines):
        x = label_px + index * step
        draw.multiline_text((x, top - 4), "\n".join(lines), font=small, fill=INK, anchor="ld", spacing=3)
    y = top
    for row, height in zip(rows, heights, strict=True):
        label = "\n".join(_lines(row.label, small, label_px - 16))
        draw.multiline_text((GAP_PX + 4, y + 4), label, font=small, fill=INK)
        for index, picture in enumerate(row.pictures):
            x = label_px + index * step
            sheet.paste(_fitted(picture, cell_px), (x, y))
            if index < len(row.captions):
                caption = "\n".join(_lines(row.captions[index], small, cell_px))
                draw.multiline_text((x, y + cell_px + 2), caption, font=small, fill=INK, spacing=3)
        y += height
    return sheet


def subject_sheet(saves: dict[str, tuple[Run, int]]) -> Image.Image:
    """The sheet of a subject: its own pictures, then for each prompt the base model and each save with the same seeds.

    Args:
        saves: a save's name on the sheet -> its run and step; the runs share subject, base model, prompts and seeds.
    """
    first = next(iter(saves.values()))[0]
    spec = first.spec
    base = read_pictures(first.samples(0))
    drawn = {name: read_pictures(run.samples(step)) for name, (run, step) in saves.items()}
    rows = [Row("your pictures", read_pictures(first.pictures()))]
    for i, prompt in enumerate(spec.sample.prompts):
        part = slice(i * len(spec.sample.seeds), (i + 1) * len(spec.sample.seeds))
        rows.append(Row(f"base model: {spec.prompt(prompt, plain=True)}", base[part]))
        rows += [Row(f"{name}: {spec.prompt(prompt)}", pictures[part]) for name, pictures in drawn.items()]
    seeds = ", ".join(map(str, spec.sample.seeds))
    title = f"{spec.name}: {fill('a {subject}', spec.class_word)} (drawn with seeds {seeds}, from the left)"
    return contact_sheet(rows, title=title, label_px=190)


def _fitted(picture: Image.Image, cell_px: int) -> Image.Image:
    """The whole picture inside a square of `cell_px`, on white where it is not square."""
    picture = picture.convert("RGB")
    scale = cell_px / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    cell = Image.new("RGB", (cell_px, cell_px), PAPER)
    cell.paste(picture.resize(size, Image.Resampling.LANCZOS), ((cell_px - size[0]) // 2, (cell_px - size[1]) // 2))
    return cell


def _lines(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> list[str]:
    """`text` broken at spaces into lines that fit into `width_px` (a single longer word stands alone)."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def _caption_lines(row: Row, font: ImageFont.FreeTypeFont, width_px: int) -> int:
    return max(len(_lines(caption, font, width_px)) for caption in row.captions)
