"""What a LoRA file's header names as its base model never says whether anything is there."""

import json
import secrets

import madeloras
import pytest
from safetensors.torch import save_file

from app.adapters import imported
from app.orders import importing
from app.orders.drawer import Drawer
from training.base import catalog, hub, modelref
from training.errors import MissingModel


@pytest.fixture(scope="module")
def tensors(sd15_folder):
    from diffusers import UNet2DConditionModel

    return madeloras.kohya(UNet2DConditionModel.from_pretrained(sd15_folder / "unet"))


@pytest.fixture
def data(tmp_path):
    """A data folder of an app with a login."""
    modelref.confine(tmp_path / "data", [])
    yield tmp_path / "data"
    modelref._confined.clear()


def ended(data, tensors, named, folder, **settings) -> dict:
    """The final state of the order to import a file whose header names `named`, without its times."""
    file = folder / "owl.safetensors"
    save_file(tensors, file, {"base": named})
    order = importing.create(data, [file], name=f"Owl {secrets.token_hex(3)}", **settings)
    said = modelref._confined.copy()
    modelref._confined.clear()  # the drawing process is another one
    Drawer(data)._do(order)
    assert not modelref._confined
    modelref._confined.update(said)
    state = json.loads((order.path / "state.json").read_text())
    return {key: state[key] for key in ("name", "message", "remedy", "field", "made")}


@pytest.mark.parametrize("there", [True, False], ids=["sd15 is here", "sd15 is not here"])
def test_an_imports_end_tells_no_path_from_another(data, tensors, sd15_folder, tmp_path, there):
    if there:
        home = catalog.home(data, "sd15")
        home.parent.mkdir(parents=True)
        home.symlink_to(sd15_folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    told = []
    for base in (
        sd15_folder,
        tmp_path / "empty",
        tmp_path / "file.txt",
        tmp_path / "nothing",
        "a/b",
        "~root",
        "x",
        "dino",
    ):
        state = ended(data, tensors, str(base), tmp_path)
        record = imported.find(data, state.pop("made")) if there else None
        told.append((state, record and (record.base, record.left_out)))
    assert all(one == told[0] for one in told)
    assert told[0][0]["name"] == ("done" if there else "failed")
    assert told[0][1] == (("sd15", imported.NO_NAME) if there else None)


def test_an_added_models_name_in_a_header_is_taken(data, tensors, sd15_folder, tmp_path):
    modelref._confined.clear()  # as the owner
    hub.add(sd15_folder, data, "mine")
    modelref.confine(data, [])
    state = ended(data, tensors, "mine", tmp_path)
    assert state["name"] == "done" and imported.find(data, state["made"]).base == "mine"
    assert imported.find(data, state["made"]).left_out == ""


def test_a_base_model_that_may_not_be_named_makes_no_order(data, tensors, sd15_folder, tmp_path):
    told = set()
    for base in (sd15_folder, tmp_path / "nothing"):
        with pytest.raises(MissingModel) as caught:
            ended(data, tensors, "", tmp_path, base=str(base))
        told.add(str(caught.value))
    assert len(told) == 1 and importing.Import.all(data) == []


def test_the_drawing_process_keeps_to_what_the_order_may_name(data, tensors, sd15_folder, tmp_path):
    """Also where the order's base model was changed on the way, so that nothing hangs on one check."""
    file = tmp_path / "owl.safetensors"
    save_file(tensors, file)
    order = importing.create(data, [file], name="Owl")
    modelref._confined.clear()
    request = order.request().model_copy(update={"base": str(sd15_folder)})
    (order.path / "request.json").write_text(request.model_dump_json())
    Drawer(data)._do(order)
    assert order.state().name == "failed" and order.state().message == modelref.OUT_OF_REACH.format(kind="base model")
    free = importing.create(data, [file], name="Owl", base=str(sd15_folder))
    Drawer(data)._do(free)
    assert free.state().name == "done"
