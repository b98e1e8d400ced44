"""What a person calls something, as a file name."""

import re
import unicodedata
import zlib

LONGEST_BYTES = 120  # file systems take 255, and endings and marks come behind a name
OTHERWISE = "adapter"


def slug(name: str) -> str:
    """A name as a file name: small letters of any script, digits and dashes; accents of Latin letters are dropped.

    Names without a letter or digit differ by an ending made from them: "🦊" -> "adapter-a45d4727".
    """
    letters = "".join(map(_plain, unicodedata.normalize("NFKC", name)))
    found = re.sub(r"-+", "-", letters).strip("-").encode()[:LONGEST_BYTES].decode(errors="ignore").strip("-")
    return found or f"{OTHERWISE}-{zlib.crc32(name.encode()):08x}"


def _plain(letter: str) -> str:
    """The letter without its accent where it is a Latin one, "-" where it is none; vowel signs belong to letters."""
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    if bare.isalnum():
        return bare.lower()
    return letter.lower() if unicodedata.category(letter)[0] in "LMN" else "-"
