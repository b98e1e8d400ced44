"""Is it still a clean picture? A regression from what both judges see to how far a picture is from being spoiled.

No judge was trained for this question, so each run's judges are calibrated on the spot: on pictures known to be clean
(the base model's with the class word, and the subject's own) and on copies of them that are noisy, blurred, cut into
tiles, faded or too loud, in random degrees. A ridge regression from the class and patch tokens at three depths of DINO
and CLIP to one minus the degree then says how clean a picture is: 1 as the clean ones, 0 as the worst copies. The
judges stay frozen and nothing is downloaded, so it works with any DINO and CLIP. What it was measured to find, also of
kinds that it never learnt: `python -m evaluation.judge_gates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evaluation.damage import KINDS, spoiled
from evaluation.encoders import Encoder, Seen

if TYPE_CHECKING:
    from torch import Tensor

COPIES = 2  # of each clean picture and kind
MOST = 32  # clean pictures that are learnt from
SIDE_PX = 256  # pictures are spoiled at about the size that a judge looks at, where a degree means what it says
RIDGE = 0.3  # of the mean eigenvalue
SEED = 0


class Cleanness:
    """The regression, fitted to the clean pictures of one run.

    Args:
        clean: PIL pictures known to be clean, at least one; of more than `MOST` some, evenly over the list.
        kinds: the kinds of damage to learn from.
    """

    def __init__(self, dino: Encoder, clip: Encoder, clean: list[Image.Image], kinds: tuple[str, ...] = tuple(KINDS)):
        import torch

        rng = np.random.default_rng(SEED)
        clean = [shrunk(clean[i]) for i in np.linspace(0, len(clean) - 1, min(MOST, len(clean))).round().astype(int)]
        copies, targets = [], []
        for kind in kinds:
            for image in clean * COPIES:
                degree = float(rng.uniform(0.1, 1.0))
                copies.append(spoiled(image, kind, degree, rng))
                targets.append(1 - degree)
        seen = dino.see(clean + copies), clip.see(clean + copies)
        x, widths = rows(*seen), [each.layers[0].numel() for each in seen]  # (n, f): clean pictures first
        y = torch.tensor([1.0] * len(clean) + targets, dtype=torch.float64)  # (n,)
        weight = torch.tensor([0.5 / len(clean)] * len(clean) + [0.5 / len(copies)] * len(copies), dtype=torch.float64)
        # Divided by the root of how many numbers its judge gives, so that both judges count alike.
        many = torch.cat([torch.full((width,), width**0.5) for width in widths]).double()
        self._mean, self._deviation = x.mean(dim=0), x.std(dim=0).clamp_min(1e-6) * many
        z = self._scaled(x)
        self._centre, self._level = weight @ z, float(weight @ y)
        root = weight.sqrt()
        a = root[:, None] * (z - self._centre)  # (n, f), n far below f: the dual of the ridge regression
        gram = a @ a.T
        ridge = RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
        self._slope = a.T @ torch.linalg.solve(gram + ridge, root * (y - self._level))  # (f,)
        self._unit = 1.0  # a ridge pulls towards the mean; the clean ones are to be 1 all the same
        self._unit = float(self._told(x[: len(clean)]).mean())

    def of(self, dino: Seen, clip: Seen) -> list[float]:
        """How clean each of n pictures is: 1 as the clean ones, 0 as the worst copies; may lie outside."""
        return self._told(rows(dino, clip)).tolist()

    def _told(self, x: Tensor) -> Tensor:
        return ((self._scaled(x) - self._centre) @ self._slope + self._level) / self._unit

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self._mean) / self._deviation


def rows(dino: Seen, clip: Seen) -> Tensor:
    """Both judges' layers side by side: (n, f) float64."""
    import torch

    return torch.cat([seen.layers.flatten(1).double() for seen in (dino, clip)], dim=1)


def shrunk(image: Image.Image) -> Image.Image:
    """The picture with its longer side at most `SIDE_PX`."""
    image = image.convert("RGB")
    image.thumbnail((SIDE_PX, SIDE_PX))
    return image
