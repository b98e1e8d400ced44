"""Control pictures of edges, made of pictures by controlnet_aux's annotators that need no weights.

Only for ControlNets of that kind: white lines on black, as `control_v11p_sd15_canny` and `_lineart` were trained with.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from training.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

PACKAGE = "controlnet_aux"
STEP_PX = 64  # its annotators look at pictures whose edges are multiples of this, and scale others
_importing = threading.Lock()


def canny(image: Image.Image) -> np.ndarray:
    """Canny's edges of a picture, 0 or 255: (H, W, 3) uint8."""
    detect = _annotator("canny").CannyDetector()
    return _at_own_size(image, lambda pixels, px: detect(pixels, detect_resolution=px, image_resolution=px))


def lineart(image: Image.Image) -> np.ndarray:
    """Lines of a picture, the darker beside their surroundings the brighter: (H, W, 3) uint8."""
    detect = _annotator("lineart_standard").LineartStandardDetector()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a picture without any line, which comes out black
        return _at_own_size(image, lambda pixels, px: detect(pixels, detect_resolution=px, output_type="np"))


def _at_own_size(image: Image.Image, detect: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """What an annotator makes of a picture, pixel by pixel its own: it is mirrored outwards to whole steps and cut
    back, since the annotators would scale it."""
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    down, right = -height % STEP_PX, -width % STEP_PX
    whole = np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="symmetric")
    found = detect(whole, min(whole.shape[:2]))
    return np.ascontiguousarray(found[:height, :width])


def _annotator(name: str) -> ModuleType:
    """A module of controlnet_aux alone.

    The package's own start imports every annotator, which takes seconds, warns, and fails beside a torchvision that
    cannot be imported; so it is passed over. Raises BadInput where the package, or OpenCV, cannot be imported.
    """
    with _importing:
        added = PACKAGE not in sys.modules
        try:
            if added:
                spec = importlib.util.find_spec(PACKAGE)
                if spec is None:
                    raise ImportError(f"there is no {PACKAGE}")
                sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)  # not executed
            return importlib.import_module(f"{PACKAGE}.{name}")
        except ImportError as error:
            raise BadInput(
                f"Edges cannot be found: {PACKAGE} cannot be imported ({error}).",
                "Run `pip install controlnet-aux` in this program's environment.",
                "control_kind",
            ) from error
        finally:
            if added:
                sys.modules.pop(PACKAGE, None)  # who wants all of it imports it as it is


ANNOTATORS: dict[str, Callable[[Image.Image], np.ndarray]] = {"canny": canny, "lineart": lineart}
