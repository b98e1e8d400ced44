"""The table of docs/methods.md: what each method keeps exactly, and how near its exports come when others load them.

    python -m benchmarks.methods_table           # measures and writes the table into docs/methods.md, some minutes
    python -m benchmarks.methods_table --print   # only prints it
    python -m benchmarks.methods_table --wide    # prints only what files lose, at Stable Diffusion 1.5's own widths

Measured on a UNet with Stable Diffusion 1.5's layout and key names and tiny widths, random weights, after a few steps
of training with several ranks in one adapter. Differences are the largest of the UNet's output, divided by its largest
entry; exports are loaded by stock diffusers and stock PEFT.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from benchmarks.methods.rows import Row, measure, measure_wide
from benchmarks.methods.unet import make_unet
from benchmarks.methods.variants import VARIANTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- table: python -m benchmarks.methods_table -->", "<!-- end of the table -->"
LIMITS = {"float32": 5e-6, "float16": 5e-5}
USUAL_MOVE = 0.1  # half precision costs in proportion to ||dW||: its limit is for layers that moved so far, or less
HEADINGS = ("method", "step 0", "gradient beside PEFT's", "of its bound", "moved", "detached", "merged")
FORMATS = ("kohya", "diffusers", "PEFT")
COMFYUI = {"dora": "`dora_scale`", "dora-fixed": "`dora_scale`", "dora-columns": "`dora_scale`"}
COMFYUI |= {"oft": "differences", "full": "differences"}
FULL_RANK = ("dora", "dora-fixed", "dora-columns", "oft", "full")  # for whose files fp16 is not promised


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    heads = [*HEADINGS, *(f"{kind}, {precision}" for kind in FORMATS for precision in ("fp32", "fp16")), "ComfyUI"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        bound = "no bound" if row.bound is None else f"{100 * row.bound:.0f} %"
        gradient = "-" if row.gradient is None else _short(row.gradient)
        cells = [f"{row.name} (`{row.method}`)", _short(row.identity), gradient, bound, f"{100 * row.moved:.1f} %"]
        cells += [_short(row.detach), _short(row.merge)]
        cells += [_short(row.exports.get(f"{kind} {p}")) for kind in FORMATS for p in LIMITS]
        lines.append([*cells, COMFYUI.get(row.method, "the kohya file")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def wide_table(rows: list[Row]) -> str:
    """What files lose at Stable Diffusion 1.5's own widths, in Markdown."""
    lines = [("method", "moved", "output changed", *(f"{kind}, {p}" for kind in FORMATS for p in ("fp32", "fp16")))]
    lines.append(("---",) * len(lines[0]))
    for row in rows:
        exports = (_short(row.exports.get(f"{kind} {p}")) for kind in FORMATS for p in LIMITS)
        name, moved, changed = f"{row.name} (`{row.method}`)", f"{100 * row.moved:.1f} %", f"{100 * row.changed:.0f} %"
        lines.append((name, moved, changed, *exports))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value: float | None) -> str:
    return "-" if value is None else "exact" if value == 0 else f"{value:.1e}"


def write(text: str) -> None:
    """Puts the table between the marks of the page."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print the table and leave the page as it is")
    parser.add_argument("--wide", action="store_true", help="Stable Diffusion 1.5's own widths, its files only")
    parser.add_argument("--only", default="", help="measure only variants whose name holds this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [name for name in VARIANTS if options.only.lower() in name.lower()]
    if options.wide:
        unet = make_unet(widths={}).requires_grad_(False)
        print(wide_table([measure_wide(name, unet) for name in names if VARIANTS[name]["method"] not in FULL_RANK]))
        return
    rows = [measure(name) for name in names]
    print(table(rows))
    if not options.print and not options.only:
        write(table(rows))


if __name__ == "__main__":
    main()
