#!/usr/bin/env bash
# transformers 5.24.0: SegFormer folders of the hub say "reduce_labels": true, as ADE20K needs it (0 is "other", classes
# are 1-150). The processor keeps the key as an attribute and does not act on it: only "do_reduce_labels" counts, and is
# False. No word is said; every class is off by one, "other" is trained as wall and class 150 is out of range. Where
# do_reduce_labels is set, the processor that works without torchvision writes into the array that it is given.
#
# Seen:
#   labels given [0, 1, 2, 150], "reduce_labels": true -> [0, 1, 2, 150] (do_reduce_labels False)
#   labels given [0, 1, 2, 150], do_reduce_labels=True -> [0, 1, 149, 255]
#   and the caller's own array is now [1, 2, 150, 255]
# Exits with 1 where that is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.13.0 pillow==12.3.0 numpy==2.4.6
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import json
from pathlib import Path

import numpy as np
from transformers import SegformerImageProcessor

HUB = {  # the keys of nvidia/segformer-b0-finetuned-ade-512-512
    "feature_extractor_type": "SegformerFeatureExtractor", "do_normalize": True, "do_resize": True, "size": 512,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 2, "reduce_labels": True,
}  # fmt: skip
Path("preprocessor_config.json").write_text(json.dumps(HUB))
picture = np.zeros((8, 8, 3), np.uint8)
given = np.array([[0, 1], [2, 150]], np.uint8).repeat(4, 0).repeat(4, 1)


def reduced(processor, labels):
    return np.unique(processor(picture, segmentation_maps=labels, return_tensors="np")["labels"][0]).tolist()


loaded = SegformerImageProcessor.from_pretrained(".")
old = reduced(loaded, given.copy())
print(f'labels given [0, 1, 2, 150], "reduce_labels": true -> {old} (do_reduce_labels {loaded.do_reduce_labels})')
own = given.copy()
new = reduced(SegformerImageProcessor(do_reduce_labels=True), own)
print(f"labels given [0, 1, 2, 150], do_reduce_labels=True -> {new}")
print(f"and the caller's own array is now {np.unique(own).tolist()}")
assert old == [0, 1, 2, 150] and loaded.reduce_labels is True, "the old key counts now"
assert new == [0, 1, 149, 255], "labels are reduced otherwise now"
assert np.unique(own).tolist() == [1, 2, 150, 255], "the caller's array is left alone now"
PY
