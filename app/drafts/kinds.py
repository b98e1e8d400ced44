"""Words for the kind of a subject that a base model with few words knows."""

import difflib

from training.base.capabilities import Capabilities

# Words that people type -> the nearest word that a base model with few of them may know.
NEAR = {
    "puppy": "dog", "poodle": "dog", "terrier": "dog", "kitten": "cat", "kitty": "cat", "bunny": "rabbit",
    "hamster": "mouse", "rat": "mouse", "bull": "cow", "ox": "cow", "pony": "horse", "parrot": "bird",
    "budgie": "bird", "chicken": "chick", "toad": "frog", "shark": "fish", "goldfish": "fish", "tortoise": "turtle",
    "rose": "flower", "plant": "flower", "mug": "cup", "glass": "cup", "jeep": "car", "van": "car", "suv": "car",
    "lorry": "truck", "pickup": "truck", "tram": "train", "ship": "boat", "plane": "airplane", "bike": "bicycle",
    "home": "house", "building": "house", "watch": "clock", "toy": "teddy", "doll": "teddy", "sneaker": "shoe",
    "boot": "shoe", "sandal": "shoe", "purse": "bag", "handbag": "bag", "backpack": "bag", "sweater": "shirt",
    "jacket": "shirt", "cap": "hat", "helmet": "hat", "notebook": "book", "seat": "chair", "stool": "chair",
}  # fmt: skip


def class_suggestions(caps: Capabilities, typed: str, most: int = 5) -> list[str]:
    """Words for the kind that a base model knows, nearest to what was typed first; all of them for nothing typed.

    [] for a model that may know any word, and where nothing is near.
    """
    typed = typed.strip().lower()
    if not typed:
        return sorted(caps.classes)
    parts = [typed, *typed.split()]
    near = [word for word in parts if word in caps.classes]
    near += [NEAR[part] for part in parts if NEAR.get(part) in caps.classes]
    near += [word for word in sorted(caps.classes) if word.startswith(typed)]
    near += difflib.get_close_matches(typed, caps.classes, most, 0.7)
    return list(dict.fromkeys(near))[:most]
