"""What `evaluation.judge_gates` measured, as markdown: for its command line and for the toy model's card."""

from evaluation.figures import FIGURES
from evaluation.gate_sets import DEGREES


def table(measured: dict) -> str:
    """The gate as markdown."""
    count = len(measured["subjects"])
    names = [figure.name for figure in FIGURES]
    lines = [f"| pictures ({count} subjects) | {' | '.join(names)} | pass |", "|---|---|---|---|---|"]
    for good, title in ((True, "good"), (False, "bad")):
        for one in measured["sets"]:
            if one["good"] == good:
                cells = " | ".join(f"{one[f.key]:.0f} %" if f.key in one else "" for f in FIGURES)
                lines.append(f"| {title}: {one['set']} | {cells} | {one['pass']} of {one['of']} |")
    asked = " | ".join(f"{measured['asked'][figure.key]:.0f} %" for figure in FIGURES)
    lines.append(f"| asked for | {asked} | |")
    lines += ["", f"Area under the curve, good sets against bad ones by their least figure: {measured['auc']:.3f}."]
    for figure in FIGURES:
        through = "; ".join(measured["let_through"][figure.key]) or "nothing"
        lines.append(f"Without “{figure.name.lower()}” would pass: {through}.")
    head = " | ".join(f"{degree:.0%}" for degree in DEGREES)
    lines += [
        "",
        f"| clean picture in %, by degree of damage | whole | {head} |",
        "|---|" + "---|" * (len(DEGREES) + 1),
    ]
    for key, told in (("degrees", ""), ("unlearnt", ", never learnt (one subject)")):
        lines += [
            f"| {kind}{told} | {' | '.join(f'{v:.0f}' for v in values)} |" for kind, values in measured[key].items()
        ]
    held = "The gate holds." if not measured["faults"] else f"The gate does not hold: {'; '.join(measured['faults'])}."
    return "\n".join([*lines, "", held]) + "\n"
