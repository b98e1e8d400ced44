"""`delora doctor`: what this computer has, and what to do about what is missing."""

import typer

from app.commands.shared.common import Data, Json, answer, command, default_data


@command
def doctor(data: Data = default_data(), as_json: Json = False) -> None:
    """Say what device, memory, models and packages there are, and what to do about what is missing.

    Exit code 0 when the main job can run here, 3 when something it needs is missing.
    """
    from app.computer.doctor import examine

    findings = examine(data)
    signs = {"good": "ok  ", "note": "note", "bad": "MISSING"}
    lines = [f"{signs[f.level]}  {f.topic}: {f.words}" + (f" {f.remedy}" if f.remedy else "") for f in findings]
    ready = not any(f.level == "bad" for f in findings)
    answer(as_json, {"ready": ready, "findings": [f.to_dict() for f in findings]}, "\n".join(lines))
    if not ready:
        raise typer.Exit(3)
