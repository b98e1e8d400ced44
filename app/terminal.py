"""Text from files and requests on its way to a terminal."""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"


def plain(text: object) -> str:
    r"""The text without what a terminal obeys: control and direction characters become their codes, such as \x1b."""
    return "".join(
        letter if letter in KEPT or unicodedata.category(letter) not in ("Cc", "Cf", "Cs") else _code(letter)
        for letter in str(text)
    )


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii") if ord(letter) != 0x200D else letter  # joins emoji
