"""Groups of processes: who is in one, signals to all of them, and orphans that are adopted so that none is a zombie."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # from Linux's <sys/prctl.h>


def adopt_orphans() -> None:
    """Make this process the parent of orphans among its descendants. Elsewhere than on Linux the system does that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def members(group: int) -> list[int]:
    """The living processes of a process group; zombies do not count."""
    import psutil

    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def signal_group(group: int, number: int) -> None:
    """Send a signal to all processes of a group; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def end_group(group: int, seconds: float = 10.0) -> bool:
    """Kill a group and wait until nothing of it lives; False where something still does after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        signal_group(group, signal.SIGKILL)
        if reap(group) and not members(group):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def reap(group: int) -> bool:
    """Collect the ended children of this process in a group, adopted ones too; whether none is left to collect.

    A process that looks ended can be collected only when the last of its threads is.
    """
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
        return False
    except ChildProcessError:
        return True


def oom_kills() -> int:
    """How many processes the system has ended for want of memory since it started; 0 where it does not tell."""
    count = 0
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        with contextlib.suppress(OSError):
            fields = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
            count += int(fields.get("oom_kill", 0))
    return count
