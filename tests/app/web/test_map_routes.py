"""The routes of maps: what a pair of the page New looks like, and the held-out pairs of a run."""

import io

import handmaps
import mapfiles
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from app.drafts import draft, pairing
from app.web import maproutes
from app.web.parts import links, pairs
from app.web.studio import Studio
from training.maps import colours, writing


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(data):
    app = FastAPI()
    app.include_router(maproutes.routes(Studio(data)))
    return TestClient(app)


def seen(client, address):
    answer = client.get(f"/{address}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.asarray(image.convert("RGB")).astype(int), answer.headers["cache-control"]


def test_a_pair_is_shown_with_its_map_over_it(client, data, tmp_path):
    plain = Image.new("RGB", (64, 48), (100, 100, 100))
    plain.save(tmp_path / "a.jpg", quality=100)
    writing.write(np.full((48, 64), 2, dtype=np.uint8), tmp_path / "a.png", "palette")
    now, _ = pairing.add(draft.load(data), [(path.name, path) for path in sorted(tmp_path.iterdir())])
    picture, cached = seen(client, links.pair("training", 0, pairs.version(now)))
    assert picture.shape == (192, 384, 3) and "immutable" in cached
    assert abs(picture[:, :192] - 100).max() <= 1
    sky = np.array(colours.PALETTE[2])
    assert abs(picture[:, 192:] - (0.45 * 100 + 0.55 * sky)).max() <= 1
    _, cached = seen(client, links.pair("training", 0, "f" * 16))
    assert cached == "no-store", "a page may still ask for what it showed before"
    for address in ("pair/training/1/x.png", "pair/dataset/0/x.png", "pair/..%2Ftraining/0/x.png"):
        assert client.get(f"/studio/{address}").status_code == 404


def test_a_held_out_map_is_shown_in_colours_and_its_picture_as_it_is(client, data):
    run = handmaps.run(data)
    shown, _ = seen(client, links.held_map(run.id, "0001.png"))
    assert (shown == colours.paint(mapfiles.scene(48, 48))).all()
    picture, _ = seen(client, links.held_out(run.id, "0001.png"))
    assert (picture == np.asarray(Image.open(run.path / "held-out" / "0001.png"))).all()
    (run.path / "held-out" / "0002.map.png").unlink()
    (run.path / "held-out" / "0002.map.png").symlink_to(run.path / "held-out" / "0001.map.png")
    (run.path / "held-out" / "0000.map.png").write_bytes(b"no map")
    for file in ("0000.png", "0002.png", "0009.png", "..%2Fspec.json"):
        assert client.get(f"/studio/map/{run.id}/{file}").status_code == 404
    assert client.get(f"/studio/picture/{run.id}/held-out/pairs.jsonl").status_code == 404
