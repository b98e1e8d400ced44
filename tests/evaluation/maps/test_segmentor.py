"""Folders of every layout are opened and see what transformers' own processor shows them; others are refused."""

import json
import shutil

import mapfiles
import numpy as np
import pytest
import tinysegmentors
import torch
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from evaluation.maps import segmentor, segmentorfolder
from training.errors import BadInput, MissingModel
from training.maps import writing

KINDS = ("segformer", "upernet", "mask2former")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("segmentors")
    return {kind: tinysegmentors.build(kind, root / kind) for kind in KINDS}


def soft(size, seed=0):
    """A picture without hard edges, so that two ways of scaling it can be compared."""
    return mapfiles.picture((6, 5), seed).resize(size, Image.Resampling.BICUBIC)


def stock(folder):
    """transformers' own model and PIL processor for a folder, told the old size the new way."""
    from transformers import Mask2FormerForUniversalSegmentation, SegformerForSemanticSegmentation
    from transformers import UperNetForSemanticSegmentation as UperNet
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    models = {"segformer": SegformerForSemanticSegmentation, "upernet": UperNet}
    model = models.get(folder.name, Mask2FormerForUniversalSegmentation)
    processor = Mask2FormerImageProcessorPil if folder.name == "mask2former" else SegformerImageProcessorPil
    return model.from_pretrained(folder).eval(), processor.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_square_picture_is_segmented_as_by_transformers_itself(folders, kind):
    image = soft((64, 64))
    model, processor = stock(folders[kind])
    shown = processor(images=[image], return_tensors="pt")["pixel_values"]
    made = segmentor.load(str(folders[kind]))
    torch.testing.assert_close(made.folder.preprocessing.pixels(image), shown, atol=1e-6, rtol=0)
    with torch.no_grad():
        outputs = model(pixel_values=made.folder.preprocessing.pixels(image))
    if kind == "mask2former":
        # As the paper's own code: masks to the picture's size, then classes; transformers takes 384 x 384 on the way.
        masks = torch.nn.functional.interpolate(outputs.masks_queries_logits, (64, 64), mode="bilinear").sigmoid()
        scores = torch.einsum("nqc,nqhw->nchw", outputs.class_queries_logits.softmax(-1)[..., :-1], masks)
    else:
        scores = torch.nn.functional.interpolate(outputs.logits, (64, 64), mode="bilinear")
    (labels,) = made.segment([image])
    assert labels.dtype == np.uint8 and labels.shape == (64, 64)
    assert (labels == scores[0].argmax(0).numpy()).mean() > 0.999
    if kind == "mask2former":
        theirs = processor.post_process_semantic_segmentation(outputs, target_sizes=[(64, 64)])[0]
        assert (labels == theirs.numpy()).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_not_square_is_not_squashed(folders, kind):
    (labels,) = segmentor.load(str(folders[kind])).segment([soft((90, 60))])
    assert labels.shape == (60, 90) and labels.max() < 150
    shown = (72, 48) if kind != "mask2former" else (96, 64)  # rounded up to multiples of 32
    assert segmentorfolder.inspect(folders[kind]).preprocessing.size(90, 60) == shown


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_unlike_sizes_come_out_as_each_alone(folders, kind):
    made = segmentor.load(str(folders[kind]))
    images = [soft((64, 64), seed) for seed in range(3)]
    for given in (images, [*images, soft((80, 64))]):
        for image, labels in zip(given, made.segment(given), strict=True):
            assert (labels == made.segment([image])[0]).mean() > 0.999


def test_classes_scaled_a_few_at_a_time_are_decided_as_all_at_once():
    scores = torch.randn(2, 150, 7, 9)
    whole = torch.nn.functional.interpolate(scores, (40, 30), mode="bilinear", align_corners=False).argmax(1)
    assert torch.equal(segmentor.best_class(scores, (40, 30)), whole)
    assert torch.equal(segmentor.best_class(torch.zeros(1, 150, 2, 2), (4, 4)), torch.zeros(1, 4, 4, dtype=torch.int64))


def test_a_query_that_sees_nothing_has_no_say():
    classes = torch.zeros(1, 2, 151)
    classes[0, 0, 3], classes[0, 0, 150] = 8, 12  # of all it could be, class 3; but most likely nothing
    classes[0, 1, 5] = 4
    scores = segmentor.class_scores(classes, torch.full((1, 2, 2, 2), 9.0), (4, 4))
    assert scores.shape == (1, 150, 4, 4) and bool((scores.argmax(1) == 5).all())


@pytest.mark.parametrize(
    "config, short, longest, divisor",
    [
        ({"size": 512}, 512, None, 1),
        ({"size": {"height": 640, "width": 640}}, 640, None, 1),
        ({"size": 640, "max_size": 2560, "size_divisor": 32}, 640, 2560, 32),
        ({"size": {"shortest_edge": 512, "longest_edge": 2048}, "size_divisor": 32}, 512, 2048, 32),
        ({"image_processor_type": "Mask2FormerImageProcessor", "size": {"shortest_edge": 640}}, 640, None, 32),
        ({"do_resize": False}, None, None, 1),
    ],
)
def test_every_spelling_of_a_size_is_read(config, short, longest, divisor):
    made = segmentorfolder.preprocessing(config)
    assert (made.short, made.longest, made.divisor) == (short, longest, divisor)


def test_the_longest_edge_is_a_limit():
    made = segmentorfolder.preprocessing({"size": {"shortest_edge": 100, "longest_edge": 200}})
    assert made.size(1000, 250) == (200, 50)


def test_what_is_kept_with_scores_names_the_model_and_its_preprocessing(folders):
    told = segmentor.load(str(folders["upernet"])).describe()
    assert told["kind"] == "UperNetForSemanticSegmentation" and len(told["fingerprint"]) == 16
    assert told["preprocessing"].startswith("short edge 48")


# Refused


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of the SegFormer folder with its config changed."""

    def make(**changes):
        shutil.copytree(folders["segformer"], tmp_path / "changed")
        path = tmp_path / "changed" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return tmp_path / "changed"

    return make


def named(shift=0, count=150):
    background = {0: "background"} if shift else {}
    return {str(i): background.get(i, tinysegmentors.NAMES.get((i - shift) % 150)) for i in range(count)}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"architectures": ["ViTForImageClassification"]}, "is a ViTForImageClassification, no segmentor"),
        ({"id2label": named(count=19)}, "tells 19 classes apart, not 150"),
        ({"id2label": named(1, 151)}, "tells 151 classes apart"),
        ({"id2label": named(1)}, "the first is 'background'"),
    ],
)
def test_folders_that_are_no_segmentor_of_the_150_classes_are_refused(copy, changes, words):
    with pytest.raises(BadInput, match=words):
        segmentor.load(str(copy(**changes)))


def test_damaged_pickled_and_missing_folders_are_refused(copy, tmp_path):
    folder = copy()
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(BadInput, match="cannot be opened as a segmentor"):
        segmentor.load(str(folder))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="only as pytorch_model.bin, a pickle"):
        segmentor.load(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(BadInput, match="holds no weights"):
        segmentor.load(str(folder))
    (folder / "preprocessor_config.json").unlink()
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(BadInput, match="preprocessor_config.json is missing"):
        segmentor.load(str(folder))
    nowhere = (str(tmp_path / "gone"), "~no-such-user/x", "x" * 300)
    for ref, words in (("segmentor", "delora models get"), *((ref, "There is no segmentor") for ref in nowhere)):
        with pytest.raises(MissingModel, match=words):
            segmentor.load(ref, tmp_path)


@pytest.mark.parametrize(
    "values", [{"size": "large"}, {"size": {"height": 0}}, {"image_std": [1]}, {"resample": 9}, []]
)
def test_a_preprocessor_config_that_says_nonsense_is_named(copy, values):
    folder = copy()
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(BadInput, match="preprocessor_config.json is damaged"):
        segmentorfolder.inspect(folder)


def test_names_that_nobody_gave_are_taken_on_trust(copy):
    segmentorfolder.inspect(copy(id2label={str(i): f"LABEL_{i}" for i in range(150)}))


# The command


def test_the_command_writes_the_map_of_a_photo(folders, tmp_path):
    soft((90, 60)).save(tmp_path / "photo.jpg")
    arguments = ["maps", "segment", tmp_path / "photo.jpg", "--segmentor", folders["segformer"]]
    arguments = [*map(str, arguments), "--data", str(tmp_path / "data"), "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    image = Image.open(told["path"])
    assert image.size == (90, 60) and image.text[writing.KEY] == writing.INDEX
    assert json.loads(image.text["segmentor"]) == told["segmentor"]
    assert sum(row["share"] for row in told["classes"]) == pytest.approx(1)
    again = CliRunner().invoke(cli, arguments)
    assert again.exit_code == 2 and "exists already" in again.stderr
