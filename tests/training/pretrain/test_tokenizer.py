"""The cut CLIP tokenizer: listed words are one id, everything else is spelt, nothing is lost."""

import json

import pytest

pytest.importorskip("transformers")
from transformers import CLIPTokenizer  # noqa: E402

from training.pretrain.tokenizer import build_tokenizer, prompt_words, save_tokenizer  # noqa: E402

# "on" ends "dragon" and "ra" starts "rabbit": merge chains made word by word would collide here.
WORDS = [
    "a",
    "on",
    "dragon",
    "rabbit",
    "radar",
    "drum",
    "red",
    "car",
    "in",
    "the",
    "snow",
    "alarm clock",
    "photo",
    "of",
]
RARE = ["sks", "zwx"]


@pytest.fixture(scope="module", params=["built", "tokenizer.json", "vocab.json and merges.txt"])
def tokenizer(request, tmp_path_factory):
    built = build_tokenizer([*WORDS, *prompt_words()], RARE)
    if request.param == "built":
        return built
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(built, folder)
    if request.param == "vocab.json and merges.txt":
        (folder / "tokenizer.json").unlink()
    return CLIPTokenizer.from_pretrained(folder)


def ids_of(tokenizer, text):
    return tokenizer(text).input_ids[1:-1]


def test_every_listed_word_and_every_rare_token_is_one_id(tokenizer):
    for word in [word for phrase in WORDS for word in phrase.split()] + prompt_words() + RARE:
        ids = ids_of(tokenizer, word)
        assert tokenizer.convert_ids_to_tokens(ids) == [word + "</w>"]
    assert len({tuple(ids_of(tokenizer, token)) for token in RARE}) == len(RARE)


@pytest.mark.parametrize(
    "caption", ["a red car in the snow", "a photo of a sks alarm clock", "a rabbit on a drum, on a dragon"]
)
def test_a_caption_comes_back_from_its_ids(tokenizer, caption):
    ids = tokenizer(caption).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ,", ",") == caption


@pytest.mark.parametrize(
    "prompt", ["", "Ein Würfel für 12 €", "红色的汽车", "🦊 in the snow!", "naïve\u2028café's", "\x00\x7f"]
)
def test_any_prompt_is_accepted_and_keeps_its_bytes(tokenizer, prompt):
    ids = ids_of(tokenizer, prompt)
    assert tokenizer.eos_token_id not in ids and tokenizer.bos_token_id not in ids
    kept = tokenizer.backend_tokenizer.normalizer.normalize_str(prompt).replace(" ", "")
    assert tokenizer.decode(ids).replace(" ", "") == kept


def test_prompts_are_framed_padded_and_cut_like_clips(tokenizer):
    batch = tokenizer(["a red car", "unbelievable " * 20], padding="max_length", truncation=True).input_ids
    short, long = batch
    assert len(short) == len(long) == 32 == tokenizer.model_max_length
    assert short[0] == long[0] == tokenizer.bos_token_id
    assert short[4:] == [tokenizer.eos_token_id] * 28 and long[-1] == tokenizer.eos_token_id
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == len(tokenizer) - 1


def test_the_saved_vocabulary_is_complete_and_in_order(tmp_path):
    save_tokenizer(build_tokenizer(WORDS, RARE), tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert list(vocabulary.values()) == list(range(len(vocabulary)))
    assert {len([t for t in list(vocabulary)[:512] if t.endswith("</w>") is end]) for end in (True, False)} == {256}


def test_a_rare_token_with_a_digit_is_refused_by_name():
    with pytest.raises(ValueError, match="sk5"):
        build_tokenizer(WORDS, ["sk5"])
