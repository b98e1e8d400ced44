"""All settings: each has its place in the form, and what is typed there is what a spec gets."""

from app.drafts import settings
from training import presets
from training.adapterspec import METHODS, read_fields
from training.spec import KINDS, SampleSpec, own_settings


def test_every_setting_has_one_place_in_the_form_and_comes_back_from_its_text():
    named = [name for group in settings.GROUPS.values() for name in group]
    assert len(named) == len(set(named))
    adapters = {f"adapter.{name}" for method in METHODS for name in read_fields(method)}
    top = {name for kind in KINDS.values() for name in kind.model_fields} - set(settings.ELSEWHERE)
    assert set(named) == adapters | top | {f"sample.{name}" for name in SampleSpec.model_fields}
    for method in METHODS:
        fields = settings.settings_fields(method)
        used = {field.name.removeprefix("adapter.") for field in fields if field.group == "Adapter"} - {"targets"}
        assert used == set(read_fields(method)), "only what the method uses"
        assert ("learning_rate_lambda" in {field.name for field in fields}) == ("lambda_" in used)
        spec = presets.make_spec("sd", method, "thorough", class_word="dog")
        values, wrong = settings.values(settings.typed(spec), method)
        assert wrong == []
        assert presets.make_spec("embedded", method, "quick", class_word="dog", **values) == spec
        assert [field.name for field in fields if not field.help] == ["sample.negative"], "its label says it all"
        assert all(field.label and field.help.rstrip(".") != field.label.partition(" (")[0] for field in fields)
        assert {field.default for field in fields if "Empty: a {" in field.help} == {""}
        assert all(field.default in field.choices for field in fields if field.kind == "choice")


def test_a_task_shows_only_its_own_settings_beside_those_of_all():
    shown = {task: {field.name for field in settings.settings_fields("delora", task=task)} for task in KINDS}
    subject, maps = shown["dreambooth"], shown["maps"]
    assert subject - maps == own_settings("dreambooth") - {"class_word", "token"}
    assert maps - subject == own_settings("maps")
    assert {"flip", "steps", "adapter.rank"} <= subject & maps
    assert settings.values({"class_pictures": "3", "steps": "7"}, "delora", "maps")[0].keys() == {"adapter", "steps"}


def test_an_empty_setting_is_the_presets_or_what_empty_means():
    typed = {"steps": " ", "max_grad_norm": "", "adapter.rank": "", "adapter.alpha": "3", "learning_rate": "2e-3"}
    values, _ = settings.values(typed, "delora")
    assert values == {"adapter": {"method": "delora"}, "max_grad_norm": None, "learning_rate": "2e-3"}


def test_a_lambda_is_in_the_unit_that_was_chosen_for_it():
    for typed, wanted in (({}, 4.0), ({"adapter.weight_norm": "frobenius"}, 0.16), ({"adapter.lambda_": "2"}, 2.0)):
        values, _ = settings.values(typed, "delora")
        assert presets.make_spec("embedded", "delora", class_word="dog", **values).adapter.lambda_ == wanted
