"""Subject scores against the same figures computed one pair at a time in float64."""

import math

import numpy as np
import pytest
import torch
from tinyjudges import noise_pictures

from evaluation.figures import likeness
from evaluation.prompts import Contrast
from evaluation.scores import Scores
from evaluation.subject import Judge, standard_error

PROMPTS = ["a dog in the snow", "a dog on the beach", "a dog in the city", "a dog in the snow"]
CONTRASTS = {
    "a dog in the snow": Contrast(
        ("a dog in the forest", "a dog on the beach"), ("a cat in the snow", "a car in the snow")
    ),
    "a dog on the beach": Contrast(("a dog in the forest",), ("a cat on the beach",)),
    "a dog in the city": Contrast((), ("a cat in the city",)),
}


def cosine(a, b):
    """Cosine of two vectors by the schoolbook, in float64."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b)))


@pytest.fixture(scope="module")
def drawn():
    """Four generated pictures, of another size than the judges take."""
    return noise_pictures(4, 1, (48, 48))


@pytest.fixture(scope="module")
def real():
    """Three real pictures."""
    return noise_pictures(3, 2)


@pytest.fixture(scope="module")
def judge(dino, clip, real):
    """The judge of the three real pictures."""
    return Judge(dino, clip, real, CONTRASTS.get)


def test_dino_and_clip_i_are_means_over_every_generated_real_pair(judge, dino, clip, drawn, real):
    scores = judge.score(drawn, PROMPTS)
    for encoder, value in ((dino, scores.dino), (clip, scores.clip_i)):
        pairs = [cosine(g, r) for g in encoder.embed_images(drawn) for r in encoder.embed_images(real)]
        assert len(pairs) == 12
        assert value == pytest.approx(sum(pairs) / 12, abs=1e-6)


def test_a_prompt_is_told_from_the_same_thing_elsewhere_and_from_other_things_there(judge, clip, drawn):
    scores = judge.score(drawn, PROMPTS)

    def told(picture, texts):
        return np.mean([cosine(picture, clip.embed_texts([text])[0]) for text in texts])

    for index, (picture, prompt) in enumerate(zip(clip.embed_images(drawn), PROMPTS, strict=True)):
        plain, others = told(picture, [prompt]), CONTRASTS[prompt]
        assert scores.per_image["clip_t"][index] == pytest.approx(plain, abs=1e-6)
        assert scores.per_image["thing"][index] == pytest.approx(plain - told(picture, others.things), abs=1e-6)
        if others.elsewhere:
            expected = plain - told(picture, others.elsewhere)
            assert scores.per_image["place"][index] == pytest.approx(expected, abs=1e-6)
    places = [value for value in scores.per_image["place"] if value is not None]
    assert len(places) == 3  # one prompt names no place
    assert scores.place == pytest.approx(np.mean(places))
    assert scores.clip_t == pytest.approx(np.mean(scores.per_image["clip_t"]))


def test_self_similarity_leaves_a_picture_with_itself_out(judge, dino, clip, real):
    for name, encoder in (("dino", dino), ("clip_i", clip)):
        v = encoder.embed_images(real)
        expected = (cosine(v[0], v[1]) + cosine(v[0], v[2]) + cosine(v[1], v[2])) / 3
        assert judge.self_similarity()[name] == pytest.approx(expected, abs=1e-6)


def test_one_real_picture_has_no_self_similarity(dino, clip, real):
    assert Judge(dino, clip, real[:1], CONTRASTS.get).self_similarity() is None


def test_the_standard_error_is_that_of_the_mean_over_pictures(judge, drawn):
    values = judge.score(drawn, PROMPTS).per_image["dino"]
    mean = sum(values) / 4
    by_hand = math.sqrt(sum((v - mean) ** 2 for v in values) / 3) / 2
    assert standard_error(values) == pytest.approx(by_hand)
    assert judge.score(drawn, PROMPTS).dino_stderr == pytest.approx(by_hand)


def test_scores_come_back_from_their_file_and_say_who_judged(judge, drawn, dino, clip):
    import json

    scores = judge.score(drawn, PROMPTS)
    assert Scores.from_dict(json.loads(json.dumps({**scores.to_dict(), "step": 3}))) == scores
    assert scores.encoders == {"dino": dino.describe(), "clip": clip.describe()}


def test_likeness_is_0_at_the_base_and_100_at_the_real_pictures():
    assert likeness(0.4, 0.4, 0.8) == 0
    assert likeness(0.8, 0.4, 0.8) == pytest.approx(100)
    assert likeness(0.7, 0.4, 0.8) == pytest.approx(75)
    assert likeness(0.7, 0.4, None) is None
    assert likeness(0.7, 0.8, 0.8) is None


def test_pictures_and_prompts_must_pair_up(judge, drawn):
    with pytest.raises(ValueError, match="4 pictures came with 1 prompts"):
        judge.score(drawn, PROMPTS[:1])


def test_vectors_are_unit_float32(dino, drawn):
    vectors = dino.embed_images(drawn)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-6)
