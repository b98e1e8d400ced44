"""What the app costs: seconds from `delora app` to a usable page, and the server's CPU time for a page's tick.

    python -m benchmarks.app                       # on an empty data folder
    python -m benchmarks.app --data DIR --run ID   # beside a run of yours, at work or not

A tick is one look of an open page at its run (every 1.5 s) with the status that the strip asks for in between.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def started(data: Path) -> tuple[subprocess.Popen, str, float]:
    """The app's process, its address, and the seconds until it answered."""
    began = time.monotonic()
    code = "from app.cli import main; main()"
    command = [sys.executable, "-c", code, "app", "--no-browser", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"http://localhost:\d+", line):
            return process, found.group(0), began
    raise SystemExit("delora app did not start.")


def spent(server: psutil.Process, seconds: float, wait) -> float:
    """Milliseconds of CPU time that the server spends in a second, while `wait(milliseconds)` waits."""
    before = sum(server.cpu_times()[:2])
    wait(1000 * seconds)
    return 1000 * (sum(server.cpu_times()[:2]) - before) / seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="data folder (default: an empty one)")
    parser.add_argument("--run", help="the run whose page is looked at (default: the page New)")
    parser.add_argument("--seconds", type=float, default=30, help="how long the page is looked at")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as empty:
        process, address, began = started(options.data or Path(empty) / "data")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(address)
            page.get_by_role("button", name="Start training").wait_for()
            page.locator("#ds-summary").get_by_text("steps").wait_for()
            print(f"usable after {time.monotonic() - began:.1f} s")
            ticks = 0

            def count(request) -> None:
                nonlocal ticks
                ticks += "/gradio_api/run/" in request.url

            if options.run:
                page.goto(f"{address}/run?id={options.run}")
            page.wait_for_timeout(4000)
            page.on("request", count)
            server = psutil.Process(process.pid)
            looked_at = spent(server, options.seconds, page.wait_for_timeout)
            browser.close()
        time.sleep(2)
        idle = spent(server, options.seconds, lambda ms: time.sleep(ms / 1000))  # Gradio looks at its queue
        print(f"{looked_at:.0f} ms of CPU time a second, {idle:.0f} with no page open", end="")
        each = (looked_at - idle) * options.seconds / ticks if ticks else 0
        print(f": {each:.0f} ms a tick ({ticks} ticks)" if ticks else " (this page has no tick)")
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
