"""The prompts and seeds the embedded model is judged by, written once and committed before anything was scored.

    python -m evaluation.gate_prompts

500 prompts "a <colour> <object> <place>" (the colour only for kinds that come in colours) over (object, place) pairs of
the training; two for every pair that was kept out of all training. The picture sheet is the first 64 of the 500.
"""

from __future__ import annotations

import json

import numpy as np

import assets

COUNT, HELD_OUT_EACH = 500, 2
FILE = ("embedded", "gate_prompts.json")


def write() -> None:
    """Draws the prompts by seed and writes the list."""
    from training.pretrain.toyworld import world
    from training.pretrain.toyworld.sprites import COLOURS, can_be_recoloured, classes

    rng = np.random.default_rng(2025)

    def prompt(word: str, place, seed: int) -> dict:
        glyphs = world.glyphs_of(word)
        hues = classes()[word].get("hues") and any(can_be_recoloured(g, "3d") for g in glyphs)
        colour = COLOURS[rng.integers(len(COLOURS))] if hues and rng.random() < 0.7 else None
        text = world.article(f"a {colour + ' ' if colour else ''}{word} {place.phrase}")
        return {"prompt": text, "class_word": word, "colour": colour, "place": place.name, "seed": seed}

    known = world.World().choices
    order = [known[i] for i in rng.permutation(len(known))[:COUNT]]
    lists = {
        "prompts": [prompt(word, place, seed) for seed, (word, place) in enumerate(order)],
        "held_out_pairs": [
            prompt(word, place, 10_000 + i)
            for i, (word, place) in enumerate(world.World("held-out").choices * HELD_OUT_EACH)
        ],
    }
    lines = {name: [json.dumps(entry) for entry in entries] for name, entries in lists.items()}
    body = ",\n".join(f' "{name}": [\n  ' + ",\n  ".join(entries) + "\n ]" for name, entries in lines.items())
    assets.path(*FILE).write_text("{\n" + body + "\n}\n")


def read() -> dict[str, list[dict]]:
    """`prompts` and `held_out_pairs`: dicts of prompt, class_word, colour, place, seed."""
    return json.loads(assets.path(*FILE).read_text())


if __name__ == "__main__":
    write()
