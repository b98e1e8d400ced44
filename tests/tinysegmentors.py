"""Segmentors for tests: the three layouts that folders of ADE20K models have, random weights of tiny width."""

import json

from training.maps.classes import CLASSES

NAMES = {i: ", ".join([scene.name, *scene.synonyms]) for i, scene in enumerate(CLASSES)}
STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
NORMAL = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.25], "do_rescale": True}
PREPROCESSORS = {
    "segformer": {
        "image_processor_type": "SegformerImageProcessor",
        "size": {"height": 48, "width": 48},
        "resample": 2,
    },
    # As the hub's older folders have it: a number, and a key that transformers no longer reads.
    "upernet": {"feature_extractor_type": "SegformerFeatureExtractor", "size": 48, "reduce_labels": True},
    "mask2former": {
        "image_processor_type": "Mask2FormerImageProcessor",
        "size": {"shortest_edge": 48, "longest_edge": 96},
        "size_divisor": 32,
    },
}


def build(kind, folder, names=None, seed=0):
    """Write a model folder of that kind as the hub has it."""
    import torch
    import transformers as t

    labels = {"num_labels": 150, "id2label": NAMES if names is None else names}
    if names is not None:
        labels["num_labels"] = len(names)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "segformer":
            tiny = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
            config = t.SegformerConfig(**tiny, decoder_hidden_size=16, **labels)
            model = t.SegformerForSemanticSegmentation(config)
        elif kind == "upernet":
            backbone = t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, **STAGES)
            config = t.UperNetConfig(backbone_config=backbone, hidden_size=16, auxiliary_in_channels=16, **labels)
            model = t.UperNetForSemanticSegmentation(config)
        else:
            backbone = t.SwinConfig(embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, **STAGES)
            widths = dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim", "dim_feedforward"), 32)
            config = t.Mask2FormerConfig(
                backbone_config=backbone, **widths, encoder_feedforward_dim=32, encoder_layers=1, decoder_layers=2,
                num_attention_heads=2, num_queries=10, **labels,
            )  # fmt: skip
            model = t.Mask2FormerForUniversalSegmentation(config)
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSORS[kind] | NORMAL))
    return folder
