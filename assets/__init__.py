"""Files that ship with the program: the embedded models, sample subjects, prompt lists, class lists, licences."""

from importlib.resources import files
from pathlib import Path


def path(*parts: str) -> Path:
    """The file or folder at `parts` inside the installed assets (it need not exist)."""
    return Path(str(files(__name__))).joinpath(*parts)
