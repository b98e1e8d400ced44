"""What is wrong with a map or a pair, or is asked about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault or question. kind: a short name. words: what it is. offer: what to do. stops: whether the map can be
    used all the same."""

    kind: str
    words: str
    offer: str = ""
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.words} {self.offer}".strip()
