"""What several rooms' tests share."""

import pytest
import tinymodels


@pytest.fixture(scope="session")
def sd15_folder(tmp_path_factory):
    """A model folder with Stable Diffusion 1.5's exact layout and key names and tiny widths. Do not write into it."""
    return tinymodels.sd15(tmp_path_factory.mktemp("base") / "tiny-sd15")


@pytest.fixture(scope="session")
def sd15_fp16_folder(tmp_path_factory):
    """The same model as `sd15_folder`, with only fp16 variant files."""
    return tinymodels.sd15(tmp_path_factory.mktemp("base") / "tiny-sd15-fp16", variant="fp16")
