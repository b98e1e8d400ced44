"""From four pictures to a file that stock diffusers opens, in a real browser on the embedded model."""

import handmade
import numpy as np
import pytest
import torch
import walks
from playwright.sync_api import expect

from training.runs.run import Run


def test_from_four_pictures_to_a_file_that_stock_diffusers_opens(app, page):
    run_id = walks.start(page, app.url)
    run = Run(app.data / "runs" / run_id)
    page.reload()  # in the middle
    second = page.context.new_page()  # a second tab
    second.goto(page.url)
    expect(second.get_by_role("heading", name="Jeep", level=1)).to_be_visible()
    walks.until_state(page, "Done")
    expect(second.locator(".ds-state h2")).to_have_text("Done")
    expect(page).to_have_title("✓ Jeep is done. · Jeep · DeLoRA Studio")

    columns = page.locator(".ds-film").first.locator("thead th[scope=col]").all_inner_texts()
    assert [name.split("\n")[0] for name in columns] == ["Base model", "Step 6", "Step 12"]
    assert all(walks.loaded(page, ".ds-film img")) and page.locator(".ds-film img").count() >= 6
    figures = ("Likeness (DINO)", "Follows the prompt (CLIP)", "Clean picture (DINO and CLIP)")
    for title in (*figures, "Distance from the base model"):
        expect(page.locator("svg", has_text=title).first).to_be_visible()
    expect(page.get_by_text("its limit (guaranteed)")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download jeep.safetensors").click()
    file = download.value.path().rename(download.value.path().with_suffix(".safetensors"))
    assert file.read_bytes() == (run.path / "adapter" / "jeep.safetensors").read_bytes()
    assert walks.foreign(page) == []
    assert page.errors == []

    ours, theirs = _same_picture(run, file)
    assert abs(ours - theirs).max() <= 1  # of 255 levels: what rounding to 8 bits can make of 1e-6


def _same_picture(run: Run, file):
    """One seed's picture by our adapter, and by the downloaded file in a stock pipeline, (128, 128, 3) in 0..255."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    import assets
    from app.adapters import saves
    from training import sample

    base = saves.open_base("embedded", run.path.parent.parent, "no")
    adapter = saves.open_save(run, base, saves.best_step(run))
    mine = sample.generate(base, ["a sks car in the snow"], [7], adapter=adapter, steps=6)[0]
    pipe = StableDiffusionPipeline.from_pretrained(str(assets.path("embedded", "pipeline")))
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.load_lora_weights(str(file.parent), weight_name=file.name)
    generator = torch.Generator().manual_seed(7)
    drawn = pipe("a sks car in the snow", num_inference_steps=6, guidance_scale=3.0, generator=generator).images[0]
    return np.asarray(mine, dtype=int), np.asarray(drawn, dtype=int)


@pytest.mark.slow
def test_stop_saves_and_resume_goes_on_to_the_end(app, page):
    run = Run(app.data / "runs" / walks.start(page, app.url, steps="40", save_every="20"))
    app.until(lambda: run.state().step >= 2)
    page.get_by_role("button", name="Stop").click()
    walks.until_state(page, "Stopped")
    step = run.latest_checkpoint()
    assert step and step < 40
    page.get_by_role("button", name=f"Resume from step {step}").click()
    walks.until_state(page, "Done")
    assert [event["step"] for event in run.history("step")] == list(range(1, 41))


def test_two_presses_of_start_make_one_run(app, page):
    walks.fill_in(page, app.url, steps="400")
    page.get_by_role("button", name="Start training").dblclick()
    page.wait_for_url("**/run?id=*")
    page.wait_for_timeout(1500)
    assert len(app.runs()) == 1


def test_the_keyboard_finds_its_way_on_a_runs_page(app, page):
    run = handmade.put(handmade.score(handmade.train(handmade.run(app.data), 8), {4: (0.7, 1.0)}), "stopped")
    page.goto(f"{app.url}/run?id={run.id}")
    film, focused = page.locator(".ds-film").first, page.locator(":focus")
    film.press("Tab")  # its links are one stop
    expect(focused).to_have_accessible_name("Draw with step 4")
    snow = "a sks dog in the snow, seed 0"
    moves = {"ArrowDown": f"step 4: {snow}", "ArrowRight": f"step 8: {snow}", "ArrowUp": "Draw with step 8"}
    for key, name in moves.items():
        focused.press(key)
        expect(focused).to_have_accessible_name(name)

    page.get_by_label("Make files of").select_option("step 8")
    expect(page.get_by_role("heading", name="Files of step 8")).to_be_visible()

    rename = page.locator("[data-act=rename]")
    rename.press("Enter")
    expect(page.get_by_label("New name")).to_have_value("Biscuit")
    page.get_by_label("New name").press("Enter")
    expect(rename).to_be_focused()

    page.get_by_role("button", name="Resume from step 8").focus()
    handmade.put(run, "done")  # the button that has the focus goes
    expect(page.get_by_role("heading", name="Done")).to_be_focused()
    assert page.errors == []
