"""torchmetrics for tests, also beside a torchvision that cannot be imported.

torchmetrics asks the packages' metadata whether there is a torchvision and then imports it, for metrics that no test
uses. Where it is hidden (`training.base.guard`) the metadata say that there is none, while torchmetrics is imported.
"""

import sys
from importlib.metadata import Distribution, PackageNotFoundError

import pytest

HIDDEN = "torchvision"


def load():
    """The package; skips the test where it is not installed."""
    if sys.modules.get(HIDDEN, HIDDEN) is not None:
        return pytest.importorskip("torchmetrics")
    installed = Distribution.from_name

    def without(name):
        if name == HIDDEN:
            raise PackageNotFoundError(name)
        return installed(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Distribution, "from_name", without)
        return pytest.importorskip("torchmetrics")
