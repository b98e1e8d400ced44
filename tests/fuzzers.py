"""Readers of what comes from outside or from the disk, each with valid inputs to change by chance.

A reader takes changed input and may only end well or raise its own error: one of `training.errors` in the app and in
training, ValueError in delora.
"""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fuzzedmaps
import handmade
import torch
from badpictures import colourful
from damages import spoiled
from tinynets import Net

import delora
from delora.files import read_header
from delora.imports import attach_lora, read_lora
from training.errors import StudioError
from training.subject import pictures

INTERESTING = (
    b"\0",
    b"\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\x1b",
    b"{",
    b"]",
)


@dataclass(frozen=True)
class Reader:
    """inputs: valid ones. change: makes another of one. read: reads it from a folder of its own. own: its errors."""

    name: str
    inputs: tuple[bytes, ...]
    change: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], object]
    own: type[Exception] = StudioError


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """A few bytes flipped, overwritten, doubled or taken out; or the end cut off."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, what = chance.randrange(len(found) + 1), chance.randrange(6)
        if what == 0 and found:
            found[at % len(found)] ^= 1 << chance.randrange(8)
        elif what == 1:
            piece = chance.choice(INTERESTING)
            found[at : at + len(piece)] = piece
        elif what == 2:
            found[at:at] = found[at : at + chance.randrange(64)]
        elif what == 3:
            del found[at : at + chance.randrange(64)]
        elif what == 4:
            found[at : at + 8] = bytes(chance.randrange(256) for _ in range(8))
        elif chance.random() < 0.3:
            del found[at:]
    return bytes(found)


def changed_json(data: bytes, chance: random.Random) -> bytes:
    """Other values in a JSON text, now and then other bytes."""
    try:
        values = json.loads(data)
    except ValueError:  # changed before
        values = None
    if values is None or chance.random() < 0.2:
        return changed_bytes(data, chance)
    return json.dumps(spoiled(values, chance)).encode()


def changed_lines(data: bytes, chance: random.Random) -> bytes:
    """The same in each of a few lines."""
    lines = data.splitlines()
    for _ in range(chance.randint(1, 4)):
        i = chance.randrange(len(lines))
        lines[i] = changed_json(lines[i], chance) if lines[i].startswith(b"{") else changed_bytes(lines[i], chance)
    return b"\n".join(lines) + b"\n"


def changed_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Other values in the header (also in the JSON texts in its metadata), or other bytes anywhere."""
    if chance.random() < 0.3:
        return changed_bytes(data, chance)
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size])
    except ValueError:
        return changed_bytes(data, chance)
    texts = [key for key, value in header.get("__metadata__", {}).items() if str(value).startswith("{")]
    if texts and chance.random() < 0.7:
        key = chance.choice(texts)
        header["__metadata__"][key] = json.dumps(spoiled(json.loads(header["__metadata__"][key]), chance))
    else:
        header = spoiled(header, chance)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def all_readers(folder: Path) -> list[Reader]:
    """Every reader; `folder` is for what they read, one input at a time."""
    maps = [
        Reader(name, inputs, changed_lines if name == fuzzedmaps.LIST else changed_bytes, read)
        for name, inputs, read in fuzzedmaps.readers(folder)
    ]
    return [*_pictures(folder), *maps, *_adapters(folder), *_documents(folder)]


def _pictures(folder: Path) -> list[Reader]:
    image, found = colourful((40, 32)), []
    grey = image.convert("L")
    modes = {
        "png": [(image, {}), (image.convert("RGBA"), {}), (image.convert("P"), {}), (grey.convert("I;16"), {})],
        "jpeg": [(image, {"exif": _exif()}), (grey, {}), (image, {"progressive": True})],
        "webp": [(image, {}), (image, {"lossless": True}), (image.convert("RGBA"), {})],
        "tiff": [(image, {}), (image, {"compression": "tiff_lzw"}), (grey, {"compression": "tiff_adobe_deflate"})],
        "avif": [(image, {}), (image.convert("RGBA"), {})],
        "gif": [(image.convert("P"), {})],
        "bmp": [(image, {}), (grey, {})],
    }
    for name, kinds in modes.items():
        inputs = []
        for picture, how in kinds:
            buffer = io.BytesIO()
            picture.save(buffer, name, **how)
            inputs.append(buffer.getvalue())

        def read(data: bytes, path: Path = folder / f"picture.{name}"):
            path.write_bytes(data)
            return pictures.read(path)

        found.append(Reader(f"picture {name}", tuple(inputs), changed_bytes, read))
    return found


def _exif() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[pictures.EXIF_ORIENTATION] = 6
    exif[0x010E] = "a picture"
    return exif.tobytes()


def _adapters(folder: Path) -> list[Reader]:
    from safetensors.torch import save

    torch.manual_seed(0)
    net, file = Net(), folder / "adapter.safetensors"
    native = []
    for config in (
        delora.AdapterConfig(rank=4),
        delora.AdapterConfig(method="lora", rank=2),
        delora.AdapterConfig("oft", blocks=4),
    ):
        adapter = delora.attach(net, config)
        delora.save(adapter, file, {"trigger": "sks dog"})
        adapter.detach()
        native.append(file.read_bytes())
    names = ("attn1.to_q", "attn1.to_k", "attn2.to_v")
    linears = {name: net.get_submodule(name) for name in names}
    down = {name: torch.randn(2, linear.in_features) for name, linear in linears.items()}
    up = {name: torch.randn(linear.out_features, 2) for name, linear in linears.items()}
    kohya = {}
    for name in names:
        key = f"lora_unet_{name.replace('.', '_')}"
        kohya |= {
            f"{key}.lora_down.weight": down[name],
            f"{key}.lora_up.weight": up[name],
            f"{key}.alpha": torch.tensor(2.0),
        }
    diffusers = {f"unet.{name}.lora_A.weight": down[name] for name in names}
    diffusers |= {f"unet.{name}.lora_B.weight": up[name] for name in names}
    settings = {f"unet.{key}": value for key, value in _peft_config(names).items()}
    peft = {f"base_model.model.{name}.lora_A.weight": down[name] for name in names}
    peft |= {f"base_model.model.{name}.lora_B.weight": up[name] for name in names}
    (folder / "peft").mkdir()
    peft_file, peft_config = save(peft), json.dumps(_peft_config(names)).encode()
    place = folder / "peft" / "adapter_model.safetensors"

    def load(data: bytes) -> None:
        file.write_bytes(data)
        read_header(file)
        delora.load(net, file, "fuzzed").detach()

    def import_(path: Path) -> None:
        attach_lora(net, read_lora(path), ignore_others=True, name="fuzzed")[0].detach()

    def plain(data: bytes) -> None:
        file.write_bytes(data)
        import_(file)

    def folder_of_peft(data: bytes) -> None:  # both files, one behind the other
        size = int.from_bytes(data[:8], "little")
        place.write_bytes(data[8 : 8 + size])
        (folder / "peft" / "adapter_config.json").write_bytes(data[8 + size :])
        import_(place)

    def changed_folder(data: bytes, chance: random.Random) -> bytes:
        weights, config = peft_file, peft_config
        if chance.random() < 0.4:
            weights = changed_safetensors(weights, chance)
        else:
            config = changed_json(config, chance)
        return len(weights).to_bytes(8, "little") + weights + config

    lora = (save(kohya, {"ss_output_name": "x"}), save(diffusers, {"lora_adapter_metadata": json.dumps(settings)}))
    whole = len(peft_file).to_bytes(8, "little") + peft_file + peft_config
    return [
        Reader("native adapter", tuple(native), changed_safetensors, load, ValueError),
        Reader("LoRA file", lora, changed_safetensors, plain, ValueError),
        Reader("PEFT folder", (whole,), changed_folder, folder_of_peft, ValueError),
    ]


def _peft_config(names) -> dict:
    return {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "rank_pattern": {names[0]: 2},
        "alpha_pattern": {names[1]: 8.0},
        "use_rslora": True,
        "use_dora": False,
        "init_lora_weights": True,
        "target_modules": ["to_q", "to_k", "to_v"],
        "modules_to_save": None,
    }


def _documents(folder: Path) -> list[Reader]:
    import assets
    from app.adapters import imported, records
    from app.computer import downloads, expectation
    from app.drafts.store import load
    from app.orders import drawings, exports
    from app.orders.request import parse_request
    from app.web.parts.run import details, distance, header, scores
    from app.web.reading import follow
    from app.work import workerfile
    from app.work.engines.records import Records
    from evaluation import report, scorebook
    from training.base import modelfolder
    from training.runs import states

    data = folder / "data"
    data.mkdir()
    run = handmade.finished(data)
    handmade.imported(data, "Owl")
    drawing = drawings.create(data, parse_request({"prompt": "a dog", "run": run.id, "step": 8}))
    order = exports.create(data, run, "kohya", 8)
    mine = load(data)
    downloads._tell(data, "dino", 1, 2, "cut off")
    jobs = Records(data)
    jobs.open("run.1", "train", 4, 4)
    workerfile.write(data, "here", 100.0)
    model = data / "model"
    shutil.copytree(assets.path("sd15-config"), model)
    (model / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
    }))  # fmt: skip
    for part, (_, stem) in modelfolder.PARTS.items():
        (model / part / f"{stem}.safetensors").touch()
    (run.path / "adapter" / "made.json").write_text(
        json.dumps({"files": [{"kind": "peft", "name": "b.zip", "step": 8, "error": 0.0, "check": None}]})
    )

    def describe() -> None:
        from training.base import models

        models.describe(str(model), data)

    def events() -> None:
        view = follow.view(run)
        header.block(view), distance.section(view), scores.section(view), details.section(view)
        expectation._record.cache_clear()
        expectation.expectation(data, run.spec)
        report.write_report(run, data / "report.html")

    def spec() -> None:
        found = run.spec
        found.to_json(), details.settings_table(found), found.prompt("a {subject}")

    def reader(name: str, path: Path, read: Callable[[], object], change=changed_json) -> Reader:
        whole = path.read_bytes()

        def do(changed: bytes) -> None:
            path.write_bytes(changed)
            try:
                read()
            finally:
                path.write_bytes(whole)

        return Reader(name, (whole,), change, do)

    adapter, owl = run.path / "adapter", data / "adapters" / "owl"
    unet, index = model / "unet" / "config.json", model / "model_index.json"
    return [
        reader("spec.json", run.path / "spec.json", spec),
        reader("state.json", run.path / "state.json", lambda: states.load(run.path / "state.json")),
        reader("scores.json", run.path / "scores.json", lambda: scorebook.read(run)),
        reader("export.json", adapter / "export.json", lambda: records.read_exports(adapter / "export.json")),
        reader("made.json", adapter / "made.json", lambda: records.read_made(adapter / "made.json")),
        reader("events", run.path / "events.jsonl", events, changed_lines),
        reader("adapter.json", owl / "adapter.json", lambda: imported.list_imported(data)),
        reader("drawing's request", drawing.path / "request.json", drawing.request),
        reader("order's state", order.path / "state.json", order.state),
        reader("draft", mine.folder / "draft.json", lambda: load(data)),
        reader("download", downloads._path(data, "dino"), lambda: downloads.read(data, "dino")),
        reader("queue record", jobs.folder / "run.1.json", jobs.all),
        reader("worker.json", data / "queue" / "worker.json", lambda: workerfile.read(data)),
        reader("UNet's config", unet, describe),
        reader("model_index.json", index, describe),
    ]


def tried(reader: Reader, chance: random.Random) -> str:
    """One changed input read; "" or what was wrong."""
    data = reader.change(chance.choice(reader.inputs), chance)
    try:
        reader.read(data)
    except reader.own:
        return ""
    except Exception as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:120]} at {Path(where.filename).name}:{where.lineno}"
    return ""
