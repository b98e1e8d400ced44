#!/usr/bin/env bash
# torchmetrics 1.9.0: `segmentation.MeanIoU` is not the mIoU of segmentation papers. It takes the mean over the classes
# of each picture by itself and then over pictures, where mmseg, the benchmarks and torchmetrics' own
# `MulticlassJaccardIndex` sum all pictures up first. It has no ignore_index either: labels of 255 raise an error.
#
# Seen, for 20 pictures of 8 of 150 classes each, 70 % of the pixels right and the others any class:
#   MulticlassJaccardIndex 0.389, MeanIoU 0.037, by hand over all pictures 0.389
#   MeanIoU has no ignore_index
# Exits with 1 where that is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import inspect

import torch
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import MeanIoU

g = torch.Generator().manual_seed(0)
truths, guesses = [], []
for _ in range(20):
    classes = torch.randperm(150, generator=g)[:8]
    truth = classes[torch.randint(8, (64, 64), generator=g)]
    wrong = torch.rand(64, 64, generator=g) > 0.7
    truths.append(truth)
    guesses.append(torch.where(wrong, torch.randint(150, (64, 64), generator=g), truth))
truth, guess = torch.stack(truths), torch.stack(guesses)
field = MulticlassJaccardIndex(num_classes=150)
other = MeanIoU(num_classes=150, input_format="index")
field.update(guess, truth)
other.update(guess, truth)
ious = [((guess == i) & (truth == i)).sum() / ((guess == i) | (truth == i)).sum() for i in range(150)]
field, other, hand = float(field.compute()), float(other.compute()), float(torch.stack(ious).mean())
print(f"MulticlassJaccardIndex {field:.3f}, MeanIoU {other:.3f}, by hand over all pictures {hand:.3f}")
assert abs(field - hand) < 1e-4, "MulticlassJaccardIndex counts otherwise now"
assert other < 0.5 * field, "MeanIoU counts over all pictures now"
assert "ignore_index" not in inspect.signature(MeanIoU.__init__).parameters, "MeanIoU can ignore labels now"
print("MeanIoU has no ignore_index")
PY
