"""An event that no page of ours sends is answered in words: never with a traceback, to who asked or in the terminal."""

import json
import secrets

import pytest

FORGED = {
    "nothing": None,
    "empty": {},
    "no object": ["act"],
    "null": {"act": None, "run": None},
    "numbers": {"act": 5, "word": 5, "run": 5, "adapter": 5, "model": 5, "picture": 5, "page": 5, "number": 5},
    "unknown": {"act": "x"},
    "half a letter": {"act": "word", "word": "\ud800", "run": "\ud800", "adapter": "\ud800", "drawing": "\ud800"},
    "odd numbers": {"act": "choose", "number": "1e999", "page": "nan", "picture": "x"},
    "odd crop": {"act": "crop", "picture": "x", "crop": "7"},
    "odd step": {"act": "save", "value": "x", "step": "x", "kind": "x"},
    "null character": {"act": "delete", "run": "a\0b", "adapter": "a\0b", "model": "a\0b"},
}


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
@pytest.mark.parametrize("how", FORGED)
@pytest.mark.parametrize("values", ["usual", "null"])
def test_a_forged_event_is_answered_in_words(visitor, capfd, how, values):
    kinds = {component["id"]: component["props"] for component in visitor.config["components"]}
    forged = [d for d in visitor.config["dependencies"] if d["backend_fn"] and d["api_name"] != "generate"]
    assert len(forged) > 30
    wrong = {}
    for dependency in forged:
        given = [None if values == "null" else kinds[i].get("value") for i in dependency["inputs"]]
        body = {"data": given, "fn_index": dependency["id"], "session_hash": secrets.token_hex(8)}
        body["event_data"] = FORGED[how]
        answer = visitor.client.post("/gradio_api/run/predict", content=json.dumps(body))
        said = "".join(capfd.readouterr())
        if "nobody foresaw" in answer.text or "Traceback" in said:
            wrong[dependency["api_name"], dependency["id"]] = answer.text, said[-300:]
    assert not wrong


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
def test_a_choice_that_there_is_not_leaves_the_terminal_quiet(visitor, capfd):
    kinds = {component["id"]: component for component in visitor.config["components"]}
    asking = [d for d in visitor.config["dependencies"] if any(kinds[i]["type"] == "dropdown" for i in d["inputs"])]
    refused = 0
    for dependency in asking:
        given = [
            "no such choice" if kinds[i]["type"] == "dropdown" else kinds[i]["props"].get("value")
            for i in dependency["inputs"]
        ]
        body = {"data": given, "fn_index": dependency["id"], "session_hash": secrets.token_hex(8)}
        refused += "not in the list of choices" in visitor.client.post("/gradio_api/run/predict", json=body).text
    said = capfd.readouterr()
    assert refused > 2 and "Traceback" not in said.out + said.err
