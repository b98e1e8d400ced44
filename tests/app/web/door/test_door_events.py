"""An event that no page of ours sends is answered in words: never with a traceback, to who asked or in the terminal."""

import json
import secrets

import pytest

from app.web.pages.act import Pressed
from training.errors import BadInput

JSON = {"content-type": "application/json"}
ANY, USUAL = object(), object()  # no press; each field's own value
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
    "a picture": {"act": "choose", "number": "1"},
    "odd step": {"act": "save", "value": "x", "step": "x", "kind": "x"},
    "null character": {"act": "delete", "run": "a\0b", "adapter": "a\0b", "model": "a\0b"},
}


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
@pytest.mark.parametrize("how", FORGED)
@pytest.mark.parametrize("values", ["usual", "null"])
def test_a_forged_event_is_answered_in_words(visitor, capfd, how, values):
    assert not misled(visitor, capfd, FORGED[how], None if values == "null" else USUAL)


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
@pytest.mark.parametrize("value", [None, ["delora"], {"a": 1}, True, 10**30], ids=repr)
def test_a_value_of_another_type_is_answered_in_words(visitor, capfd, value):
    assert not misled(visitor, capfd, ANY, value)


def misled(visitor, capfd, event, value) -> dict:
    """The presses, or without an event the fields that are chosen from, sent with a value in each field, that are
    answered without words or with a traceback."""
    types = {component["id"]: component["type"] for component in visitor.config["components"]}
    kinds = {component["id"]: component["props"] for component in visitor.config["components"]}
    forged, chosen = [], {"dropdown", "radio", "checkbox"}
    for d in visitor.config["dependencies"]:
        pressed = any(act == "click" and types.get(part) == "html" for part, act in d["targets"])
        if d["backend_fn"] and (pressed if event is not ANY else chosen & {types[i] for i in d["inputs"]}):
            forged.append(d)
    assert len(forged) > 10
    wrong = {}
    for dependency in forged:
        given = [kinds[i].get("value") if value is USUAL else value for i in dependency["inputs"]]
        body = {"data": given, "fn_index": dependency["id"], "session_hash": secrets.token_hex(8)}
        body["event_data"] = None if event is ANY else event
        answer = visitor.client.post("/gradio_api/run/predict", content=json.dumps(body), headers=JSON)
        assert "application/json" not in answer.text  # it came past the door's look at its form
        said = "".join(capfd.readouterr())
        if "nobody foresaw" in answer.text or "Traceback" in said:
            wrong[dependency["api_name"], dependency["id"]] = answer.text, said[-300:]
    return wrong


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
def test_a_choice_that_there_is_not_leaves_the_terminal_quiet(visitor, capfd):
    kinds = {component["id"]: component for component in visitor.config["components"]}
    asking = [d for d in visitor.config["dependencies"] if any(kinds[i]["type"] == "dropdown" for i in d["inputs"])]
    refused = []
    for dependency in asking:
        given = [
            "no such choice" if kinds[i]["type"] == "dropdown" else kinds[i]["props"].get("value")
            for i in dependency["inputs"]
        ]
        body = {"data": given, "fn_index": dependency["id"], "session_hash": secrets.token_hex(8)}
        refused.append(visitor.client.post("/gradio_api/run/predict", json=body).text)
    refused = [text for text in refused if "not in the list of choices" in text]
    said = capfd.readouterr()
    assert len(refused) > 2 and "Traceback" not in said.out + said.err
    assert not any("no such choice" in text for text in refused) and any("Base model it was" in r for r in refused)


@pytest.mark.parametrize("visitor", ["open"], indirect=True)
@pytest.mark.parametrize("body", ['{"data": [NaN]}', '{"data": [1e400]}', '{"data": ["\\ud800"]}', '{"\\ud800": 1}'])
@pytest.mark.parametrize("route", ["run/status", "call/status", "queue/join", "reset", "cancel"])
def test_what_no_answer_could_hold_is_refused_at_the_door(visitor, capfd, body, route):
    answer = visitor.client.post(f"/gradio_api/{route}", content=body, headers=JSON)
    assert answer.status_code == 422 and "was sent" in answer.json()["error"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_pressed_value_may_have_the_name_of_something_else():
    """A picture's place is its "number", which is also what reads it."""
    event = Pressed(None, {"number": "2", "target": "x", "checked": "on"})
    assert event.number("number") == 2 and event.checked is False
    with pytest.raises(BadInput, match="says no number"):
        Pressed(None, {"act": "choose"}).number("number")
