"""The embedded model's tokenizer: a real CLIP byte-level BPE whose vocabulary is cut to what the toy world says.

CLIP's 49,408 rows would be most of a model this small. The merges are trained here as in Sennrich et al. 2016 (the most
frequent pair first) on a closed list of words, but until every one of them is a single token: encoding replays the
merges in the order of their training, so a listed word always comes out whole. Below the words lie all 256 bytes, each
in the middle and at the end of a word, so every prompt that a person types is accepted; an unknown word is spelt.

Ids, as in CLIP: 256 bytes, 256 bytes with `</w>`, the merges, `<|startoftext|>`, `<|endoftext|>` (which also pads).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import assets

END = "</w>"
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 32  # tokens of a prompt with bos and eos
# What the prompts of a person are likely to say beside the world's captions.
COMMON_WORDS = (
    "a an and another at behind beside big black blue brown close closeup dark drawing each front gray green grey"
    " her his in inside into is it its large left light little looking made many my near new of old on one orange out"
    " over painting photo photograph picture pink purple red render right sitting small some standing style that the"
    " their this top toy two under up very view white with yellow your"
).split()


def build_tokenizer(words: Iterable[str], rare_tokens: Iterable[str] = (), max_length: int = MAX_LENGTH):
    """A `transformers.CLIPTokenizer` for which every word of `words` and every rare token is one id.

    Args:
        words: whatever captions and prompts contain; punctuation and digits in them are split off as CLIP does.
        rare_tokens: identifiers of DreamBooth subjects, one or more letters each.
        max_length: `model_max_length`, bos and eos included.

    Raises:
        ValueError: a rare token is not made of letters only (CLIP would split it).
    """
    from transformers import CLIPTokenizer

    rare_tokens = [token.lower() for token in rare_tokens]
    for token in rare_tokens:
        if not re.fullmatch(r"[a-z]+", token):
            raise ValueError(f"rare_tokens: '{token}' is not one token in CLIP. Use letters only, such as 'sks'.")
    pieces = {piece for word in words for piece in re.findall(r"[a-z]+", word.lower())}
    merges = train_merges(pieces | set(rare_tokens))
    alphabet = [symbol + end for end in ("", END) for symbol in byte_symbols()]
    tokens = dict.fromkeys([*alphabet, *(left + right for left, right in merges), BOS, EOS])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=EOS,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=max_length,
    )


def world_tokenizer(max_length: int = MAX_LENGTH):
    """The tokenizer of the embedded models: the world's captions, the DreamBooth prompts, and common words."""
    from training.pretrain.toyworld import world

    words = [*world.CAPTION_WORDS, *prompt_words(), *COMMON_WORDS]
    return build_tokenizer(words, world.RARE_TOKENS, max_length)


def prompt_words() -> list[str]:
    """Every word of the 50 DreamBooth prompts in `assets/prompts`, sorted."""
    prompts = [
        prompt.replace("{subject}", "")
        for name in ("objects.json", "live.json")
        for prompt in json.loads(assets.path("prompts", name).read_text())["prompts"]
    ]
    return sorted({word for prompt in prompts for word in re.findall(r"[a-z]+", prompt.lower())})


def train_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """BPE merges, in order, after which every one of `words` (lower-case letters) is a single token."""
    spelt = {word: (*word[:-1], word[-1] + END) for word in sorted(set(words))}
    merges = []
    while pairs := Counter(pair for parts in spelt.values() for pair in zip(parts, parts[1:], strict=False)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))  # ties by the alphabet: the same file every time
        merges.append(best)
        spelt = {word: _merged(parts, best) for word, parts in spelt.items()}
    return merges


def _merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """`parts` with every occurrence of `pair`, from the left, made one symbol."""
    out, index = [], 0
    while index < len(parts):
        size = 2 if parts[index : index + 2] == pair else 1
        out.append("".join(parts[index : index + size]))
        index += size
    return tuple(out)


def byte_symbols() -> list[str]:
    """The 256 printable characters that stand for the bytes, in CLIP's order (GPT-2's `bytes_to_unicode`)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def save_tokenizer(tokenizer, folder: Path) -> None:
    """Writes `tokenizer.json` and its config, and `vocab.json` and `merges.txt`, which other tools still read."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    vocabulary = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    (Path(folder) / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    (Path(folder) / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
