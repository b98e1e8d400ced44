"""Reading a run's JSON files, with exact words for what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.errors import BadInput

RESTORE = "Put it back from a copy of the folder, if there is one."


def read(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises BadInput where the file is missing, closed to us, or cut off."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing.", RESTORE) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    except ValueError as error:
        raise BadInput(f"{path} is damaged: it is cut off or no JSON.", RESTORE) from error
    if not isinstance(values, dict):
        raise BadInput(f"{path} is damaged: something else is in it.", RESTORE)
    return values
