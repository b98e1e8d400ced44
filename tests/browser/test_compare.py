"""Two real runs beside one another: trained by the app, ticked on Runs, compared."""

import re

import pytest
import walks
from playwright.sync_api import expect

from app import actions

SMALL = {
    "effort": "quick", "steps": 4, "save_every": 2, "batch_size": 1, "class_pictures": 2, "class_steps": 2,
    "sample.prompts": "a {subject}", "sample.seeds": "0", "sample.steps": 2,
}  # fmt: skip
LEFT = "cells => cells.map(cell => cell.getBoundingClientRect().left)"


def train(app, name: str, **settings) -> str:
    return actions.start(app.data, walks.SAMPLE, name, "car", {**SMALL, **settings})


@pytest.mark.slow
def test_two_runs_are_ticked_and_compared_step_under_step(app, page):
    one = train(app, "Jeep")
    other = train(app, "Rex", method="lora", save_every=4)  # saved at step 4 only
    app.until(lambda: all(run.state().ended for run in app.runs()))
    assert [run.state().name for run in app.runs()] == ["done", "done"], [run.state() for run in app.runs()]
    page.goto(f"{app.url}/runs")
    for name in ("Jeep", "Rex"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url(f"**/compare?ids={one},{other}")

    film = page.locator(".ds-film table")
    expect(film).to_be_visible()
    columns = [text.split("\n")[0] for text in film.locator("thead th[scope=col]").all_inner_texts()]
    assert columns == ["Base model", "Step 2", "Step 4"]
    at = film.locator("thead th[scope=col]").evaluate_all(LEFT)
    rows = film.locator("tbody tr:has(img)")
    shown = [
        [at.index(left) for left in row.locator("td:has(img)").evaluate_all(LEFT)]  # under which heading each one lies
        for row in rows.all()
    ]
    assert shown == [[0, 1, 2], [0, 2]]  # Rex has a gap where it was not saved
    assert all(walks.loaded(page, ".ds-film img"))

    plots = page.locator(".ds-plots svg")
    expect(plots).to_have_count(4)  # the three figures and the distance
    for plot in plots.all():
        assert {"Jeep", "Rex"} <= {text.strip() for text in plot.locator("text").all_text_contents()}
    drawn = plots.last.evaluate(
        "svg => [...svg.querySelectorAll('polyline, path')].filter(line => line.getAttribute('stroke-width') === '2.2')"
        ".map(line => line.getAttribute('stroke'))"
    )
    assert len(drawn) == len(set(drawn)) == 2  # one line a run, each in its colour

    table = page.get_by_role("region", name="Table of settings that differ")
    named = set(table.locator("code").all_inner_texts())
    assert {"adapter.method", "save_every"} <= named and not {"steps", "seed", "batch_size", "base"} & named
    values = table.locator("tr", has=page.locator("code", has_text=re.compile("^save_every$"))).locator("td")
    assert values.all_inner_texts() == ["2", "4"]
    assert page.errors == [] and walks.foreign(page) == []
