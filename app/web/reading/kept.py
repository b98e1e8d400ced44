"""Values made from files or folders, kept until the file changes: what makes a timer's look at a run cheap."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """At most `most` values by path, the longest unused thrown away first. Safe to use from several threads."""

    def __init__(self, most: int):
        self.most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Path, tuple[tuple, T]] = OrderedDict()

    def get(self, path: Path, make: Callable[[], T], missing: T) -> T:
        """`make()` for what lies at `path` now, `missing` where nothing does. An error of `make` passes through.

        A folder changes when an entry is added, renamed or removed; finished pictures and saves come as whole folders.
        """
        try:
            stat = path.stat()
        except OSError:
            return missing
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            known = self._values.get(path)
            if known and known[0] == mark:
                self._values.move_to_end(path)
                return known[1]
        value = make()  # with the older mark, so that a change during the reading is seen at the next look
        with self._lock:
            self._values[path] = mark, value
            self._values.move_to_end(path)
            while len(self._values) > self.most:
                self._values.popitem(last=False)
        return value
