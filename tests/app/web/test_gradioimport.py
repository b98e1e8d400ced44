"""Gradio is imported whole, but for the type stubs that it would write."""

import subprocess
import sys

CODE = """
from pathlib import Path
read = Path.read_text
sources = []
Path.read_text = lambda self, *a, **k: (sources.append(self.name), read(self, *a, **k))[1]
from app.web import gradioimport
{first}
import gradio
names = ("textbox.py", "slider.py", "gallery.py")
print(len([name for name in sources if name in names]), gradio.Textbox(value="as ever").value)
"""


def sources_read(first: str) -> list[str]:
    """How many of three components' sources were read for their stubs, and what a text box says."""
    done = subprocess.run([sys.executable, "-c", CODE.format(first=first)], capture_output=True, text=True, check=True)
    return done.stdout.split(maxsplit=1)


def test_no_stub_is_made_and_the_components_are_as_ever():
    assert sources_read("gradioimport.prepare()") == ["0", "as ever\n"]
    assert sources_read("")[0] == "3"  # what it would do: when Gradio stops, gradioimport can go
