"""Whatever is killed, nothing is lost: the page says what happened, and the run goes on or can be resumed."""

import re
import time

import pytest
import walks
from appprocess import App
from playwright.sync_api import expect

from app import actions
from app.drafts import draft
from training.runs.run import Run

LONG = {"steps": "60", "save_every": "5"}
LOST = "This page has lost the app."


@pytest.mark.slow
def test_a_killed_server_is_told_and_its_training_goes_on(app, page):
    run = Run(app.data / "runs" / walks.start(page, app.url, **LONG))
    app.until(lambda: run.state().step >= 2)
    walks.fill_in(page, app.url, "Half typed")
    app.until(lambda: draft.load(app.data).name == "Half typed")
    trainer = run.state().pid
    app.kill()
    expect(page.get_by_text(LOST)).to_be_visible(timeout=5000)
    step = run.state().step
    app.until(lambda: run.state().step > step)  # nobody needs the server for that
    app.start()
    expect(page.get_by_text(LOST)).to_be_hidden()
    expect(walks.field(page, "name")).to_have_value("Half typed")
    expect(page.locator(".ds-shelf-item")).to_have_count(4)
    page.goto(f"{app.url}/run?id={run.id}")
    walks.until_state(page, "Running")
    assert run.state().pid == trainer  # adopted, not started anew
    page.get_by_role("button", name=re.compile("^Stop")).click()
    walks.until_state(page, "Stopped")


def test_a_second_app_on_the_same_data_attaches_to_the_same_worker(app, page):
    app.until(lambda: app.processes("app.worker"))
    (worker,) = [process.pid for process in app.processes("app.worker")]
    page.goto(f"{app.url}/runs")
    second = App(app.data)
    beside = page.context.new_page()
    beside.goto(f"{second.url}/runs")
    for tab in (page, beside):
        expect(tab.locator("#ds-strip")).to_have_text("Nothing is training.")
    settings = {"steps": 2000, "save_every": 2000}
    run = Run(app.data / "runs" / actions.start(app.data, walks.SAMPLE, "Jeep", "car", settings))
    for tab in (page, beside):  # one run, one worker, told by both
        expect(tab.locator(f"[data-run='{run.id}']").first).to_be_visible()
        expect(tab.locator("#ds-strip")).to_contain_text("Jeep")
    assert [process.pid for process in app.processes("app.worker")] == [worker]
    assert second.interrupt() == 0  # the other one still shows the data folder, so its worker stays
    assert [process.pid for process in app.processes("app.worker")] == [worker]
    expect(page.locator("#ds-strip")).not_to_contain_text("Nothing is working")
    expect(page.get_by_text(LOST)).to_be_hidden()


@pytest.mark.slow
def test_a_killed_worker_takes_its_training_along_and_the_app_starts_another(app, page):
    run = Run(app.data / "runs" / walks.start(page, app.url, **LONG))
    app.until(lambda: run.latest_checkpoint())
    killed = app.processes("app.worker")
    for worker in killed:
        worker.kill()
    app.until(lambda: app.processes("app.worker") and app.processes("app.worker") != killed)
    walks.until_state(page, "Interrupted")
    step = run.latest_checkpoint()
    page.get_by_role("button", name=f"Resume from step {step}").click()
    app.until(lambda: run.state().name == "running" and run.state().step > step)
    assert len(app.processes("app.worker")) == 1


def test_a_killed_training_is_interrupted_with_what_is_saved(app, page):
    run = Run(app.data / "runs" / walks.start(page, app.url, **LONG))
    app.until(lambda: run.latest_checkpoint())
    for process in app.processes("app.work.entry"):
        if "accelerate" not in " ".join(process.cmdline()):
            process.kill()
    walks.until_state(page, "Interrupted")
    saved = run.latest_checkpoint()
    assert f"Saved up to step {saved}" in page.locator(".ds-state").inner_text()
    expect(page.get_by_role("button", name=f"Resume from step {saved}")).to_be_visible()


@pytest.mark.slow
def test_ctrl_c_saves_and_the_next_app_offers_to_resume(app, page):
    run = Run(app.data / "runs" / walks.start(page, app.url, **LONG))
    app.until(lambda: run.state().step >= 2)
    began = time.monotonic()
    assert app.interrupt() == 0
    assert time.monotonic() - began < 60
    assert app.processes() == []
    assert run.state().name == "stopped" and "Stopped with the app" in run.state().message
    app.start()
    page.goto(f"{app.url}/run?id={run.id}")
    expect(page.get_by_role("button", name=f"Resume from step {run.latest_checkpoint()}")).to_be_visible()
