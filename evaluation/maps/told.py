"""A run's scores.json as a table for people."""

from evaluation import frechet


def table(scores: dict) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: base, each save, the real pictures."""
    rows = [["base", *_cells(scores["base"])], *([step, *_cells(save)] for step, save in scores["saves"].items())]
    rows.append(["real pictures", *_cells(scores["real"])])
    name = "mIoU (classes present)" if scores["figure"] == "miou_present" else "mIoU"
    return ["save", name, "95 % interval", "over the base", "pixel accuracy", "Fréchet distance"], rows


def _cells(told: dict) -> list[str]:
    gain, (low, high) = told.get("gain"), told["interval"]
    return [
        f"{100 * told['headline']:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{100 * gain[0]:+.1f} ({100 * gain[1]:+.1f} to {100 * gain[2]:+.1f})" if gain else "",
        f"{100 * told['pixel_accuracy']:.1f} %",
        frechet.told(told),
    ]
