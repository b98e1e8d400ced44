"""The page's way in: each made file of another program, uploaded, is imported or refused in the page's words."""

import madeloras
import pytest

from app.adapters import imported
from app.orders import importing
from training.errors import BadInput


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def unet(sd15_folder):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(sd15_folder / "unet")


@pytest.mark.parametrize("name", madeloras.TABLE)
def test_an_uploaded_file_is_taken_or_refused(name, data, unet, sd15_folder, tmp_path):
    made = madeloras.TABLE[name]
    path = made.write(tmp_path / "made", unet)
    files = sorted(path.iterdir()) if path.is_dir() else [path]

    def take(**more):
        return importing.work(data, importing.create(data, files, name=name, base=str(sd15_folder), **more))

    if made.refused:
        with pytest.raises(BadInput) as caught:
            take()
        assert made.refused in caught.value.message or path.suffix == ".pt"
        assert "--" not in str(caught.value) and str(data) not in str(caught.value)
        return
    if made.left_out:
        with pytest.raises(BadInput, match=made.left_out) as caught:
            take()
        assert caught.value.remedy == importing.LEFT_OUT
    record = take(ignore_others=True)
    assert record.left_out == made.left_out and record.layers == len(madeloras.PATHS)
    assert imported.find(data, name) == record
