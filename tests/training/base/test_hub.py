"""Downloads, against a small server that speaks the hub's file-resolve routes."""

import hashlib
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import mapfiles
import pytest
import tinycontrol
import tinysegmentors

from training.base import catalog, controlnet, guard, hub, models
from training.errors import BadInput, MissingModel, RunFailed

guard.prepare()

import torch  # noqa: E402
from huggingface_hub import constants  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


class Hub:
    """A stand-in for the hub: `files[repo][name]` are bytes; large ones are redirected as the hub does."""

    def __init__(self):
        self.files: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.headers: list[dict] = []
        self.corrupt: str | None = None  # a name whose content is changed on the way
        self.commit: str | None = None  # a commit to claim instead of the asked one
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.reply(body=False)

            def do_GET(self):
                self.reply(body=True)

            def reply(self, body: bool):
                outer.asked.append((self.command, self.path, self.headers.get("Range")))
                outer.headers.append(dict(self.headers))
                match = re.fullmatch(r"(/cdn)?/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", self.path)
                content = outer.files.get(match[2], {}).get(match[4]) if match else None
                if content is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                sha = hashlib.sha256(content).hexdigest()
                large = match[4].endswith((".safetensors", ".bin"))
                if large and not match[1]:
                    self.send_response(302)
                    self.send_header("Location", f"http://{self.headers['Host']}/cdn{self.path}")
                    self.send_header("X-Linked-Etag", f'"{sha}"')
                    self.send_header("X-Linked-Size", str(len(content)))
                    self.send_header("X-Repo-Commit", outer.commit or match[3])
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
                if outer.corrupt == match[4]:
                    content = content[:-1] + bytes([content[-1] ^ 1])
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("ETag", f'"{sha if large else sha[:40]}"')
                self.send_header("X-Repo-Commit", outer.commit or match[3])
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                if body:
                    self.wfile.write(content[start:])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, name: str, folder: Path, **more: bytes) -> None:
        """Put a catalogue model's files up, taken from `folder` where they are there."""
        known = catalog.CATALOG[name]
        names = [*known.files, *known.pickles]
        content = {file: (folder / file).read_bytes() for file in names if (folder / file).is_file()}
        self.files[known.repo] = content | more


@pytest.fixture
def server(monkeypatch):
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    yield server
    server.server.shutdown()


@pytest.fixture
def sd15(server, sd15_fp16_folder, tmp_path):
    """The tiny Stable Diffusion on the server, with the parts of the index that the hub's has."""
    folder = Path(shutil.copytree(sd15_fp16_folder, tmp_path / "upstream"))
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["requires_safety_checker"] = True
    (folder / "model_index.json").write_text(json.dumps(index))
    server.serve("sd15", folder, **{"feature_extractor/preprocessor_config.json": b"{}"})
    return folder


def test_a_downloaded_model_lies_in_the_data_folder_and_works_without_the_hub(server, sd15, tmp_path):
    from diffusers import StableDiffusionPipeline

    seen = []
    home = hub.get("sd15", tmp_path, lambda done, total, file: seen.append((done, total, file)))
    server.server.shutdown()
    assert home == tmp_path / "models" / "sd15"
    base = models.load_base("sd15", data=tmp_path)
    assert base.capabilities.attention_layers == 128
    assert models.resolve("stable-diffusion-v1-5/stable-diffusion-v1-5", tmp_path).path == home
    StableDiffusionPipeline.from_pretrained(home)  # no variant to name, no safety checker to miss
    # Progress never goes back and ends at the whole.
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][0] == seen[-1][1] == sum(len(content) for content in server.files[base_repo("sd15")].values())
    assert hub.get("sd15", tmp_path) == home  # at once, with the server gone


def base_repo(name: str) -> str:
    return catalog.CATALOG[name].repo


def test_every_request_is_for_the_pinned_commit_and_without_a_token(server, sd15, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.get("sd15", tmp_path)
    assert all(f"/resolve/{catalog.CATALOG['sd15'].commit}/" in path for _, path, _ in server.asked)
    assert not any("authorization" in {key.lower() for key in headers} for headers in server.headers)


def test_a_broken_download_goes_on_where_it_stopped(server, sd15, tmp_path):
    target = "unet/diffusion_pytorch_model.fp16.safetensors"

    def cut(done, total, file):
        if file.endswith("diffusion_pytorch_model.safetensors") and done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.get("sd15", tmp_path, cut)
    assert not (tmp_path / "models" / "sd15").exists()
    with pytest.raises(MissingModel, match="delora models get sd15"):
        models.resolve("sd15", tmp_path)
    (part,) = (tmp_path / "models" / ".incoming-sd15").rglob("*.part")
    have = part.stat().st_size
    assert 0 < have < len(server.files[base_repo("sd15")][target])
    server.asked.clear()
    seen = []
    home = hub.get("sd15", tmp_path, lambda done, total, file: seen.append(done))
    assert ("GET", f"/cdn/{base_repo('sd15')}/resolve/{catalog.CATALOG['sd15'].commit}/{target}", f"bytes={have}-") in (
        server.asked
    )
    assert seen[0] > have
    here = (home / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert here == server.files[base_repo("sd15")][target]
    assert not list(home.rglob("*.part"))


def test_a_damaged_download_is_thrown_away_and_fetched_again(server, sd15, tmp_path):
    server.corrupt = "vae/diffusion_pytorch_model.fp16.safetensors"
    with pytest.raises(RunFailed, match="arrived damaged"):
        hub.get("sd15", tmp_path)
    server.corrupt = None
    assert hub.get("sd15", tmp_path).is_dir()


def test_another_commit_than_the_pinned_one_is_refused(server, sd15, tmp_path):
    server.commit = "0" * 40
    with pytest.raises(RunFailed, match="came from commit 000000000000"):
        hub.get("sd15", tmp_path)


def test_a_file_that_is_gone_and_a_hub_that_does_not_answer_are_told_apart(server, sd15, tmp_path, monkeypatch):
    del server.files[base_repo("sd15")]["vae/config.json"]
    with pytest.raises(MissingModel, match="no longer has stable-diffusion-v1-5"):
        hub.get("sd15", tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunFailed, match="Check the connection") as caught:
        hub.get("sd15", tmp_path)
    assert caught.value.exit_code == 4


def test_too_small_a_disk_is_told_before_anything_is_downloaded(server, sd15, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(RunFailed, match="Make room"):
        hub.get("sd15", tmp_path)
    assert not any(method == "GET" for method, _, _ in server.asked)


def test_a_second_download_of_one_model_waits_its_turn(server, sd15, tmp_path):
    def second(done, total, file):
        with pytest.raises(RunFailed, match="being downloaded already"):
            hub.get("sd15", tmp_path)

    assert hub.get("sd15", tmp_path, second).is_dir()


def tiny_dino(folder: Path):
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    config = ViTConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    model = ViTModel(config)
    model.save_pretrained(folder)
    ViTImageProcessorPil().save_pretrained(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return model


def test_a_scorer_kept_as_a_pickle_is_converted_once_and_the_pickle_goes(server, tmp_path):
    from transformers import ViTModel

    model = tiny_dino(tmp_path / "upstream")
    server.serve("dino", tmp_path / "upstream")
    home = hub.get("dino", tmp_path)
    assert {file.name for file in home.iterdir()} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
        "delora.json",
    }
    again = ViTModel.from_pretrained(home, local_files_only=True, use_safetensors=True).state_dict()
    assert all(torch.equal(again[key], value) for key, value in model.state_dict().items())


def test_a_pickle_that_would_run_code_is_not_opened(server, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    tiny_dino(tmp_path / "upstream")
    torch.save({"weight": Evil()}, tmp_path / "upstream" / "pytorch_model.bin")
    server.serve("dino", tmp_path / "upstream")
    with pytest.raises(RunFailed, match="not plain weights"):
        hub.get("dino", tmp_path)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "models" / "dino").exists()


def test_a_controlnet_whose_only_safetensors_are_half_precision_is_fetched_and_opened(server, tiny_base, tmp_path):
    upstream = tinycontrol.build(tmp_path / "upstream", tiny_base.unet, variant="fp16")
    (upstream / "diffusion_pytorch_model.bin").write_bytes(b"a pickle that nobody asks for")
    server.serve("controlnet-seg", upstream)
    home = hub.get("controlnet-seg", tmp_path)
    assert {file.name for file in home.iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "delora.json",
    }
    made = controlnet.load("controlnet-seg", tiny_base, tmp_path)
    held = load_file(upstream / "diffusion_pytorch_model.fp16.safetensors")
    loaded = made.module.state_dict()
    assert loaded.keys() == held.keys()
    assert all(value.dtype == torch.float16 and torch.equal(loaded[key], value.float()) for key, value in held.items())


def test_the_segmentor_is_fetched_as_safetensors_and_sees_what_its_folder_did(server, tmp_path):
    from evaluation.maps import segmentor

    upstream = tinysegmentors.build("upernet", tmp_path / "upstream")
    server.serve("segmentor", upstream)
    with pytest.raises(MissingModel, match="not downloaded"):
        segmentor.load("segmentor", tmp_path)
    assert not list(hub.get("segmentor", tmp_path).glob("*.bin"))
    picture = mapfiles.picture((64, 48)).resize((64, 64))
    (mine,), (theirs,) = (segmentor.load(ref, tmp_path).segment([picture]) for ref in ("segmentor", str(upstream)))
    assert (mine == theirs).all()


def test_every_named_model_is_pinned_and_only_dino_is_converted():
    assert set(catalog.CATALOG) == {"sd15", "dino", "clip", "controlnet-seg", "segmentor"}
    for known in catalog.CATALOG.values():
        assert re.fullmatch(r"[0-9a-f]{40}", known.commit) and known.licence and known.size_mb
        assert bool(known.pickles) == (known.name == "dino"), "all others have safetensors at their commit"
        assert known.pickles or any(name.endswith(".safetensors") for name in known.files)


def test_list_remove_and_add(server, sd15, sd15_folder, tmp_path):
    hub.get("sd15", tmp_path)
    assert hub.add(sd15_folder, tmp_path, "mine") == "mine"
    names = {model.name: model for model in models.installed(tmp_path)}
    assert list(names) == ["embedded", "sd15", "mine"]
    assert names["sd15"].licence.startswith("CreativeML") and names["sd15"].capabilities.size_px == 64
    assert names["mine"].problem is None and names["mine"].size_bytes > 1_000_000
    assert models.load_base("mine", data=tmp_path).capabilities.attention_layers == 128

    assert "its files stay" in hub.remove("mine", tmp_path) and sd15_folder.is_dir()
    assert "deleted" in hub.remove("sd15", tmp_path) and not (tmp_path / "models" / "sd15").exists()
    with pytest.raises(BadInput, match="No model called"):
        hub.remove("sd15", tmp_path)


def test_bad_names_and_folders_are_refused(sd15_folder, tmp_path):
    with pytest.raises(BadInput, match="no model that can be downloaded"):
        hub.get("gpt2", tmp_path)
    with pytest.raises(BadInput, match="cannot be a model's name"):
        hub.add(sd15_folder, tmp_path, "../x")
    with pytest.raises(BadInput, match="cannot be a model's name"):
        hub.add(sd15_folder, tmp_path, "sd15")
    with pytest.raises(BadInput, match="no diffusers pipeline"):
        hub.add(tmp_path, tmp_path)
    with pytest.raises(BadInput, match="no file or folder"):
        hub.add(tmp_path / "none", tmp_path)


def test_an_added_model_that_moved_away_is_said_so(sd15_folder, tmp_path):
    folder = Path(shutil.copytree(sd15_folder, tmp_path / "mine"))
    hub.add(folder, tmp_path)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MissingModel, match="not there any more"):
        models.resolve("mine", tmp_path)
    assert "not there any more" in models.installed(tmp_path)[-1].problem


def test_a_model_in_the_hubs_own_cache_is_found_by_its_id(sd15_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--someone--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40)
    shutil.copytree(sd15_folder, repo / "snapshots" / ("a" * 40))
    found = models.resolve("someone/tiny", tmp_path)
    assert (found.kind, found.path.name) == ("hub", "a" * 40)
