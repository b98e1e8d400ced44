"""The jobs behind the embedded CLIP and DINO: what they save, what they call a negative, how they are judged."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from training.pretrain import clip, dino, jobs, probe  # noqa: E402
from training.pretrain.tokenizer import world_tokenizer  # noqa: E402
from training.pretrain.toyworld import cache, captions, instances, world

SMALL = clip.Role(seed=1, image_width=64, image_layers=1, text_width=64, text_layers=2, projection=32)


@pytest.fixture(scope="module")
def tokenizer():
    return world_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return clip.build(SMALL, tokenizer).eval()


def test_every_caption_word_and_rare_token_is_one_id(tokenizer):
    for word in [*world.CAPTION_WORDS, *world.RARE_TOKENS]:
        assert len(tokenizer(word).input_ids) == 3, word


def test_two_captions_differ_in_the_pooled_output_and_padding_does_not_count(model, tokenizer):
    with torch.no_grad():
        short = clip.text_vectors(model, clip.ids_of(tokenizer, ["a red car", "a red bus"]))
        long = ["a red car", "a photo of a very blue dog in the deep forest"]
        padded = clip.text_vectors(model, clip.ids_of(tokenizer, long))
    assert (short[0] - short[1]).norm() > 0.01
    torch.testing.assert_close(short[0], padded[0], atol=1e-5, rtol=0)


def test_the_saved_text_encoder_opens_in_float32_and_agrees_with_the_clip_it_came_from(model, tokenizer, tmp_path):
    from safetensors import safe_open
    from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

    job = jobs.Job("test", tmp_path, 0, {})
    clip.save(model, tokenizer, tmp_path / "clip", "pipeline", job, {})
    with safe_open(tmp_path / "clip" / "text_encoder" / "model.safetensors", "pt") as file:
        assert all(name.startswith("text_model.") for name in file.keys())
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}
    text = CLIPTextModel.from_pretrained(tmp_path / "clip" / "text_encoder")
    whole = CLIPModel.from_pretrained(tmp_path / "clip")
    again = CLIPTokenizer.from_pretrained(tmp_path / "clip" / "tokenizer")
    assert text.dtype == whole.dtype == torch.float32
    prompts = ["a photo of a sks car in the snow", "ein Würfel"]
    ids = again(prompts, padding="max_length", return_tensors="pt").input_ids
    assert ids.shape == (2, 32) and ids.equal(tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids)
    with torch.no_grad():
        expected = model.text_model(input_ids=ids).last_hidden_state
        torch.testing.assert_close(text(ids).last_hidden_state, expected, atol=5e-3, rtol=0)
        torch.testing.assert_close(whole.text_model(input_ids=ids).last_hidden_state, expected, atol=5e-3, rtol=0)


def test_image_vectors_are_those_of_the_stock_model(model):
    pixels = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        stock = model.visual_projection(model.vision_model(pixels).pooler_output)
        torch.testing.assert_close(clip.image_vectors(model, pixels), torch.nn.functional.normalize(stock, dim=-1))


def test_a_text_that_is_true_of_another_picture_is_no_negative_of_it():
    def fact(word, colour, place, style="3d"):
        return {"class_word": word, "colour": colour, "place": place, "style": style}

    first, second = world.PLACES[0].name, world.PLACES[1].name
    facts = [
        fact("car", "red", first),
        fact("car", None, first),
        fact("car", "blue", first),
        fact("car", "red", second),
    ]
    said = [
        ("car", "red", first, False),
        ("car", None, False, False),
        ("car", "blue", first, True),
        ("dog",) + (None,) * 3,
    ]
    assert captions.Captions.true_of(said, facts).int().tolist() == [
        [1, 1, 0, 0],  # "a red car <first>": the unpainted car may be red
        [1, 1, 1, 1],  # "a car" says nothing of colour or place
        [0, 0, 0, 0],  # "a drawing of a blue car": none of them is drawn
        [0, 0, 0, 0],
    ]


def test_batches_are_the_same_however_many_workers_make_them(tmp_path):
    rng = np.random.default_rng(0)
    facts = [{"class_word": "car", "colour": None, "place": "snow", "style": "3d"}] * 40
    data = cache.Cache(rng.integers(0, 255, (40, 128, 128, 3), dtype=np.uint8), None, facts)
    made = {}
    for workers in (0, 2):
        batches = iter(jobs.batches(clip.Batches(data, seed=2, size=4), 7, workers))
        made[workers] = [next(batches) for _ in range(3)]
    for here, there in zip(made[0], made[2], strict=True):
        assert all(torch.equal(here[key], there[key]) for key in here)
    assert not torch.equal(made[0][0]["images"], made[0][1]["images"])


def test_left_out_pairs_change_nothing_in_the_contrastive_loss():
    torch.manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(3, 8), dim=-1) for _ in range(2))
    true = torch.eye(3, dtype=torch.bool)
    true[0, 1] = True
    loss = clip.contrastive_loss(images, texts, torch.tensor(5.0), true)
    e = (5 * texts @ images.T).exp().double().numpy()
    rows = [e[0, 0] / (e[0, 0] + e[0, 2]), e[1, 1] / e[1].sum(), e[2, 2] / e[2].sum()]
    columns = [e[0, 0] / e[:, 0].sum(), e[1, 1] / (e[1, 1] + e[2, 1]), e[2, 2] / e[:, 2].sum()]
    assert loss.item() == pytest.approx(-np.log(rows + columns).mean(), rel=1e-5)


def test_rare_tokens_get_the_length_of_words_that_were_read(tokenizer):
    model = clip.build(SMALL, tokenizer)
    table = model.text_model.embeddings.token_embedding.weight
    with torch.no_grad():
        table[tokenizer("dog").input_ids[1]] *= 50
        table[[tokenizer(word).input_ids[1] for word in world.CAPTION_WORDS]] *= 10
    before = table.detach().clone()
    clip.level_unread_words(model.text_model.embeddings.token_embedding.weight, tokenizer)
    rows = [tokenizer(token).input_ids[1] for token in world.RARE_TOKENS]
    read = [tokenizer(word).input_ids[1] for word in world.CAPTION_WORDS]
    assert table[rows].norm(dim=1).allclose(before[read].norm(dim=1).median().expand(len(rows)), rtol=0.01)
    assert table[read].equal(before[read])


def test_auc_is_the_share_of_pairs_in_the_right_order():
    positive, negative = np.array([0.9, 0.5, 0.5]), np.array([0.5, 0.1])
    expected = np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative])
    assert probe.auc(positive, negative) == pytest.approx(expected)


def test_subject_auc_sees_a_perfect_and_a_blind_scorer():
    image = np.zeros((4, 4, 3), np.uint8)
    glyphs = ["1f699", "1f697", "1f698"]  # the first one is held out
    views = [
        probe.Views("car", glyph, "red", [image + i] * 3, ["snow", "beach", "forest"]) for i, glyph in enumerate(glyphs)
    ]
    assert probe.subject_auc(lambda images: np.eye(3)[[i[0, 0, 0] for i in images]], views)["auc"] == 1.0
    blind = probe.subject_auc(lambda images: np.ones((len(images), 2)) / 2**0.5, views)
    assert blind["auc"] == 0.5
    assert blind["pairs"] == [3, 2 * 6]  # 3 pairs of the held-out car; with each other car 9 less 3 in one place


def test_no_subject_of_the_dino_training_is_held_out():
    glyphs = {subject.glyph for subject in instances.subjects()}
    assert not glyphs & world.HELD_OUT and {"1f697"} < glyphs


def test_dinos_vector_is_the_class_token_of_the_stock_model_after_saving(tmp_path):
    from transformers import ViTModel

    torch.manual_seed(0)
    network = dino.Network(0.34).eval()
    dino.save(network.vit, tmp_path, jobs.Job("test", tmp_path, 0, {}), {})
    stock = ViTModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    pixels = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        token, cosines = network(pixels)
        torch.testing.assert_close(token, stock(pixels).last_hidden_state[:, 0], atol=2e-2, rtol=0)
    assert stock.dtype == torch.float32 and cosines.abs().max() <= 1.0001
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["size"] == {"height": 128, "width": 128}


def test_half_of_a_batch_are_siblings_and_nobody_comes_twice():
    families = [np.arange(i, i + 6) for i in range(0, 600, 6)]
    chosen = instances.batch_of_subjects(families, 96, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 96
    sizes = np.bincount(chosen // 6, minlength=100)
    assert (sizes >= instances.SIBLINGS).sum() >= 12


def _draw(seed, chunk):
    rng = np.random.default_rng([seed, chunk])
    shape = (cache.CHUNK, 4, 4)
    return rng.integers(0, 256, (*shape, 3)), rng.integers(0, 256, shape), [{"n": i} for i in range(cache.CHUNK)]


def test_an_interrupted_cache_goes_on_and_is_the_same(tmp_path):
    whole = cache.render(tmp_path / "whole", 600, _draw, size_px=4, workers=2)
    assert len(whole) == 600 and whole.meta[599] == {"n": 99}
    cache.render(tmp_path / "cut", 600, _draw, size_px=4, workers=1)
    (tmp_path / "cut" / "meta.jsonl").unlink()
    (tmp_path / "cut" / "chunks" / "1.jsonl").unlink()
    again = cache.render(tmp_path / "cut", 600, _draw, size_px=4, workers=1)
    assert np.array_equal(again.images, whole.images) and np.array_equal(again.masks, whole.masks)
    with pytest.raises(ValueError, match="other pictures"):
        cache.render(tmp_path / "cut", 500, _draw, size_px=4)


def test_a_job_goes_on_where_its_checkpoint_is(tmp_path, monkeypatch):
    def start(minutes):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 1)
        return layer, jobs.Job("job", tmp_path, minutes, {"layer": layer})

    clock = iter(range(10_000))
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))  # a second a step
    layer, job = start(0.1)
    for _ in job.steps():
        with torch.no_grad():
            layer.weight += 1
    assert (job.step, job.seconds, job.share) == (6, 6, 1.0)
    again, job = start(0.2)
    assert again.weight.equal(layer.weight) and job.share == 0.5
    assert list(job.steps()) == [6, 7, 8, 9, 10, 11]


def test_a_process_that_was_stopped_has_not_trained_meanwhile(tmp_path, monkeypatch):
    clock = iter([0, 1, 2, 5000, 5001, 5002, 5003])  # stopped for more than an hour in its third step
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    job = jobs.Job("job", tmp_path, 65 / 60, {})
    assert list(job.steps()) == [0, 1, 2, 3, 4, 5] and job.seconds == 65


def test_the_learning_rate_rises_then_falls_with_the_spent_share():
    rates = [jobs.learning_rate(1.0, share) for share in np.linspace(0, 1, 101)]
    assert max(rates) == rates[3] == pytest.approx(1) and rates[0] == rates[-1] == pytest.approx(0.02)
    assert np.all(np.diff(rates[3:]) < 0)
