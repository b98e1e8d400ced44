"""Without a Chromium the browser tests are skipped, and one line says so; where one is demanded, they fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import chromium
import pytest

HERE = Path(__file__).resolve().parent
HINT = "playwright install --with-deps chromium"


def run_two_browser_tests(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """pytest on two tests that ask for a page, where neither PATH nor Playwright knows a Chromium."""
    shutil.copy(HERE / "conftest.py", folder)
    (folder / "test_two.py").write_text("def test_one(page): pass\ndef test_two(page): pass\n")
    # Not this computer's own Chrome or Edge, which Playwright finds without a PATH, but one that nobody has.
    (folder / "elsewhere.py").write_text("import chromium\nchromium.CHANNELS = ('msedge-dev', None)\n")
    kept = {key: value for key, value in os.environ.items() if key not in ("CHROMIUM", "DELORA_REQUIRE_BROWSER")}
    bare = {"PATH": str(folder), "PLAYWRIGHT_BROWSERS_PATH": str(folder / "none")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "elsewhere", "-p", "no:cacheprovider", str(folder)],
        env=kept | bare | {"PYTHONPATH": os.pathsep.join([str(folder), str(HERE.parent)])} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_without_a_chromium_they_are_skipped_and_one_line_says_how_to_get_one(tmp_path):
    done = run_two_browser_tests(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if HINT in line]
    assert line.startswith("2 browser tests skipped: ")
    assert "2 skipped" in done.stdout.splitlines()[-1]


def test_where_one_is_demanded_its_absence_fails(tmp_path):
    done = run_two_browser_tests(tmp_path, DELORA_REQUIRE_BROWSER="1")
    assert done.returncode == 1 and HINT in done.stdout, done.stdout + done.stderr
    assert "2 errors" in done.stdout.splitlines()[-1]


def test_one_that_is_named_and_not_there_fails(tmp_path):
    done = run_two_browser_tests(tmp_path, CHROMIUM="/no/such/chromium")
    assert done.returncode == 1 and "/no/such/chromium" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "msedge"])
def test_each_of_them_is_found_on_the_path_and_a_named_one_goes_first(name, tmp_path, monkeypatch):
    program, other = tmp_path / name, tmp_path / "other"
    for file in (program, other):
        file.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert chromium.named() == str(program)
    monkeypatch.setenv("CHROMIUM", "other")
    assert chromium.named() == str(other)
