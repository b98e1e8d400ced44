"""A filled-in draft for tests."""

from badpictures import colourful

from app.drafts import draft


def fill(empty, uploads, **fields):
    """Three sharp pictures of 192 x 128, a name, a kind, and what else is given; the draft can be begun."""
    files = []
    for i in range(3):
        colourful((192, 128), seed=i).save(uploads / f"{i}.png")
        files.append((f"{i}.png", uploads / f"{i}.png"))
    filled, _ = draft.add_pictures(empty, files)
    return draft.save(filled, **{"name": "Biscuit", "class_word": "dog", "effort": "quick", **fields})
