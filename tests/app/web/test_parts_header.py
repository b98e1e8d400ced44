"""The top of a run's page in every state: what it says, what it offers, and that a name is never markup."""

import errno
import os
import re
import time
from dataclasses import replace

import handmade
import pytest

from app.web.parts import strip
from app.web.parts.run import details, distance, downloads, filmstrip, header, phases, scores
from app.web.reading import folders, follow
from app.web.reading.waiting import Place
from training import presets, spec
from training.runs.run import Run
from training.runs.shortage import Need
from training.step import lifecycle

NASTY = '<b>x</b> "q" & <script>alert(1)</script>'


def text(html: str) -> str:
    """What one reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def offered(run) -> list[str]:
    """The keys of the buttons, the main one marked."""
    found = header.actions(follow.view(run))
    assert sum(action.primary for action in found) <= 1 and [a.primary for a in found[1:]] == [False] * len(found[1:])
    return [f"{action.key}*" if action.primary else action.key for action in found]


def told(run) -> str:
    """The state's words."""
    return text(header.block(follow.view(run)))


def test_a_waiting_run_says_what_is_ahead(tmp_path):
    run, ahead = handmade.run(tmp_path), handmade.run(tmp_path, "Rex")
    handmade.train(ahead, 8)
    handmade.live(ahead)
    view = follow.view(run)
    assert "Waits in the queue." in text(header.block(view)) and header.phase_list(view) == "" == header.life(view)
    view = replace(view, place=Place(((ahead, True), (run, False))))
    words = text(header.block(view))
    assert "waits: 2 runs are ahead" in words and "Number 3 in line" in words
    assert "Rex (training, at least 4 s left)" in words.replace("  ", " ")
    assert offered(run) == ["remove*", "again", "rename"]


def test_a_run_at_work_can_be_stopped_and_the_page_be_closed(tmp_path):
    run = handmade.live(handmade.run(tmp_path), "starting", "prepare")
    assert "Starting" in told(run) and offered(run) == ["stop*", "again", "rename"]
    handmade.train(run, 5)
    handmade.live(run, phase="train")
    assert "Now training. You can close this page" in told(run)
    assert offered(run) == ["stop*", "use", "again", "rename"]
    assert re.search(r"31 % · at least \d s left · last sign of life 2 s ago", text(header.life(follow.view(run))))
    (run.path / "stop").touch()
    assert "31 % · last sign of life" in text(header.life(follow.view(run))), "nobody knows how long stopping takes"


def test_a_run_that_lets_somebody_draw_says_so_and_is_not_preparing(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 4)
    message = "Waiting for the device: a drawing."
    handmade.live(run, phase="waiting for the device", message=message)
    assert f"{message} It goes on by itself." in told(run) and "reading" not in told(run)
    view = follow.view(run)
    assert "now" not in [phase.status for phase in phases.phases(view)]
    assert "25 % · waiting for the device · last" in text(header.life(view)) and view.left is None


def test_a_run_without_a_sign_of_life_says_so_as_a_worry(tmp_path):
    run = handmade.live(handmade.run(tmp_path))
    assert "ds-is-bad" not in header.life(follow.view(run))
    handmade.put(run, "running", heartbeat=time.time() - 90)
    assert '<span class="ds-is-bad">last sign of life about 2 min ago</span>' in header.life(follow.view(run))


def test_force_stop_comes_after_half_a_minute_of_stopping(tmp_path):
    run = handmade.live(handmade.train(handmade.run(tmp_path), 6), "stopping")
    stop = run.path / "stop"
    stop.touch()
    assert "Saving, then stopping." in told(run) and offered(run) == []
    os.utime(stop, (time.time() - 31, time.time() - 31))
    assert offered(run) == ["force_stop*"] and "what came after step 4 is then lost" in told(run)
    handmade.live(run, "running")  # asked, and not yet heard
    assert "Stopping" in told(run)


def test_a_stopped_run_can_be_resumed_and_says_what_is_saved(tmp_path):
    run = handmade.put(handmade.train(handmade.run(tmp_path), 6), "stopped")
    assert "Stopped at step 6 of 16. Saved up to step 4. Resume repeats 2 steps, about 1 s" in told(run)
    assert offered(run) == ["resume*", "use", "again", "rename", "delete"]
    assert header.actions(follow.view(run))[0].label == "Resume from step 4"
    removed = handmade.put(handmade.run(tmp_path), "stopped", message="Removed from the queue.")
    assert "Removed from the queue. It can be put back in the queue." in told(removed)
    assert header.actions(follow.view(removed))[0].label == "Put back in the queue"
    early = handmade.put(handmade.run(tmp_path), "stopped")
    handmade.draw(early, 0)
    assert "Stopped before the first step. It can be put back in the queue." in told(early)
    assert "No pictures" in filmstrip.section(follow.view(removed)) and "No pictures" not in filmstrip.section(
        follow.view(early)
    )


def test_an_interrupted_run_says_when_and_what_a_resume_repeats(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 7)
    message = "Interrupted on Tue 14:02 at step 7: the training program ended without a word. Saved up to step 4."
    handmade.put(run, "interrupted", message=message, remedy="Resume repeats 3 steps, about 2 s; the same.")
    assert f"{message} Resume repeats 3 steps, about 2 s; the same." in told(run)
    assert offered(run)[0] == "resume*"
    handmade.put(run, "interrupted", message="", remedy="")  # by two Ctrl-C, or a page older than the worker
    assert re.search(r"Interrupted on \w{3} \d\d:\d\d at step 7. Saved up to step 4. Resume repeats 3 steps", told(run))


@pytest.mark.parametrize(
    ("cause", "keys", "words"),
    [
        ("nan", ["new_half_lr*", "use", "again"], "Usual causes: a learning rate too high"),
        ("memory", ["resume_less_memory*", "resume", "use", "again"], "a new run that computes 2 pictures at once"),
        ("disk", ["resume*", "use", "again"], "Saved up to step 8. Free some space"),
        ("error", ["resume*", "use", "again"], "ValueError: <boom>".replace("<boom>", "&lt;boom&gt;")),
    ],
)
def test_a_failed_run_names_cause_what_is_saved_and_the_way_out(tmp_path, cause, keys, words):
    run = handmade.failed(tmp_path, cause)
    assert offered(run) == [*keys, "rename", "delete"]
    words_told = told(run)
    assert words in words_told and re.search("[Ss]aved", words_told)
    html = header.block(follow.view(run))
    assert "<details" in html and "Traceback" in html and "data-copy=" in html
    assert "<boom>" not in html


def test_nan_offers_the_last_good_save_and_never_the_same_numbers_again(tmp_path):
    run = handmade.score(handmade.failed(tmp_path, "nan"), {4: (0.7, 1.0), 8: (0.5, 1.0)})
    use = next(action for action in header.actions(follow.view(run)) if action.key == "use")
    assert (use.label, use.step) == ("Draw with step 8", 8)
    assert header.actions(follow.view(run))[0].label == "New run from step 8 at half the learning rate"


NEED = {"device": "cuda", "needed_gb": 9.24, "free_gb": 7.1, "total_gb": 8.0, "size_px": 512}
NEED |= {"micro_batch": 2, "checkpointing": False}


@pytest.mark.parametrize(
    ("fix", "label", "words"),
    [
        (
            {"batch_size": 1, "gradient_accumulation": 2, "gradient_checkpointing": True},
            "Try again with less memory",
            "1 picture at once and gradient checkpointing, about 5.8 GB and 30 % slower",
        ),
        ({"resolution": 384}, "Try again with pictures of 384 pixels", "384 pixels instead of 512, about 5.8 GB"),
        ({}, None, "a smaller batch, resolution or rank"),
    ],
)
def test_out_of_memory_is_told_in_figures_with_the_fix_as_a_button(tmp_path, fix, label, words):
    need = Need(**NEED, fix=fix, fix_gb=5.8 if fix else None)
    run = handmade.train(handmade.run(tmp_path), 9)
    message, remedy, cause = lifecycle.explain(MemoryError(), 8, need)
    handmade.put(run, "failed", message=message, remedy=remedy, cause=cause, memory=need)
    words_told = told(run)
    for expected in ("9.2 GB of graphics memory with 2 pictures at once", "7.1 of 8.0 GB were free", words):
        assert expected in words_told, expected
    assert "Saved up to step 8." in words_told
    first = header.actions(follow.view(run))[0]
    assert (first.label, first.key) == ((label, "resume_less_memory") if fix else ("Resume from step 8", "resume"))
    assert "9.2 GB with 2 pictures at once" in details.section(follow.view(run))
    if fix:
        changes = header.changes(follow.view(run), "resume_less_memory")
        made = spec.parse(presets.merged(run.spec.model_dump(), changes))
        assert {key: getattr(made, key) for key in fix} == fix and made.start_step == 8


def test_a_disk_that_filled_up_is_told_as_such_and_not_as_a_bug():
    error = OSError(errno.ENOSPC, "No space left on device", "/data/runs/rex/adapter/rex.safetensors")
    message, remedy, cause = lifecycle.explain(error, 8)
    assert message == "The disk is full: /data/runs/rex/adapter/rex.safetensors could not be written."
    assert remedy == "Free some space, then try again." and cause == "disk"
    assert lifecycle.explain(OSError("no tokenizer in this folder"), 8)[2] == "error"


def test_with_nothing_left_to_reduce_less_memory_is_not_offered(tmp_path):
    run = handmade.run(tmp_path, batch_size=1, gradient_checkpointing=True)
    handmade.put(run, "failed", cause="memory", message="Memory ran out.")
    assert offered(run) == ["resume*", "again", "rename", "delete"] and "smaller resolution" in told(run)


def test_a_finished_run_offers_its_file_first(tmp_path):
    run = handmade.finished(tmp_path)
    assert offered(run) == ["download*", "train_longer", "use", "again", "rename", "delete"]
    found = {action.key: action for action in header.actions(follow.view(run))}
    assert found["download"].label == "Download biscuit.safetensors" and found["use"].step == 8
    assert "Done on" in told(run)


@pytest.mark.parametrize("key", ["again", "train_longer", "resume_less_memory", "new_half_lr"])
def test_what_a_button_changes_makes_a_spec_that_can_be_run(tmp_path, key):
    run = handmade.finished(tmp_path) if key == "train_longer" else handmade.failed(tmp_path, "nan")
    changes = header.changes(follow.view(run), key)
    made = spec.parse(presets.merged(run.spec.model_dump(), changes))
    assert made.parent == run.id
    assert made.start_step == {"again": None, "train_longer": 16}.get(key, 8)
    if key == "train_longer":
        assert made.steps == 32
    if key == "resume_less_memory":
        before, now = run.spec, made
        assert now.batch_size < before.batch_size and now.gradient_checkpointing
        assert now.batch_size * now.gradient_accumulation == before.batch_size * before.gradient_accumulation
    if key == "new_half_lr":
        assert made.learning_rate == run.spec.learning_rate / 2
        assert made.learning_rate_lambda == run.spec.learning_rate_lambda / 2


def test_a_renamed_run_has_its_new_name_everywhere(tmp_path):
    parent = handmade.finished(tmp_path)
    follow.view(parent)
    parent.rename("Rex <2>")
    view = follow.view(parent)
    child = follow.view(handmade.run(tmp_path, parent=parent.id))
    html = header.block(view) + header.phase_list(view) + header.facts(child) + filmstrip.section(view)
    assert follow.strip_words(view) == "Rex <2> is done." and html.count("Rex &lt;2&gt;") >= 3
    assert parent.spec.name == "Biscuit"


def test_a_name_is_never_markup(tmp_path):
    run = handmade.finished(tmp_path, NASTY)
    for state in ("done", "queued", "running", "stopped", "interrupted", "failed"):
        view = follow.view(handmade.put(run, state, message=NASTY, remedy=NASTY, heartbeat=time.time()))
        parts = (header.block, header.facts, header.phase_list, filmstrip.section, scores.section, distance.section)
        more = (details.section, downloads.section)
        html = "".join(part(view) for part in (*parts, *more))
        assert "<b>x" not in html and "<script" not in html and "&lt;b&gt;x" in html


def test_a_run_made_from_another_names_it_and_a_deleted_parent_by_its_id(tmp_path):
    parent = handmade.train(handmade.run(tmp_path, "Rex"), 8)
    child = handmade.run(tmp_path, parent=parent.id, start_step=8, steps=20)
    assert re.search(
        r"made from Rex \(\d+ \w{3} \d{4}, \d\d:\d\d\) , from its step 8", text(header.facts(follow.view(child)))
    )
    parent.path.rename(parent.path.with_name("gone"))
    assert f"made from {parent.id} (deleted)" in text(header.facts(follow.view(child)))


def test_the_name_in_a_question_says_when_the_run_was_made(tmp_path):
    run = handmade.run(tmp_path, "Fluffy")
    moved = run.path.rename(run.path.with_name("20261105-140203-fluffy-0a1b"))
    assert folders.dated(Run(moved)) == "Fluffy (5 Nov 2026, 14:02)"
    (moved / "spec.json").write_text("{")
    assert folders.dated(Run(moved)) == "20261105-140203-fluffy-0a1b (5 Nov 2026, 14:02)", "also of a damaged one"
    assert folders.dated(Run(handmade.run(tmp_path, "Rex").path.rename(moved.with_name("mine")))) == "Rex"


def test_a_button_that_goes_gives_the_focus_to_the_state(tmp_path):
    html = header.block(follow.view(handmade.live(handmade.run(tmp_path))))
    assert f'<h2 id="{header.STATE}" tabindex="-1" data-keep="state">' in html


def test_news_change_with_a_phase_and_a_save_and_not_with_every_step(tmp_path):
    def news():
        return strip.news(follow.view(run))

    run = handmade.live(handmade.run(tmp_path), phase="prepare")
    assert news() == ""
    handmade.events(run, {"kind": "phase", "phase": "class pictures", "time": 1.0})
    assert news() == "Biscuit: drawing class pictures."
    handmade.live(handmade.train(run, 3))
    assert news() == "Biscuit: training has begun."
    handmade.events(run, handmade.step(4))
    handmade.save(run, 4)
    first = news()
    for number, phase in enumerate(("draw", "score", "waiting for the device", "train"), 5):
        handmade.events(handmade.live(run, phase=phase), handmade.step(number))
        assert news() == first == "Biscuit: step 4 is saved, its pictures follow."
    handmade.live(run, phase="export")
    assert news() == "Biscuit is trained: writing files."
    assert strip.news(follow.view(handmade.put(run, "done"))) == ""


def test_the_download_says_what_the_file_was_made_for(tmp_path):
    words = text(downloads.section(follow.view(handmade.finished(tmp_path))))
    assert "made for the toy model (built in): it works here and in diffusers, not in ComfyUI" in words
    assert "(largest difference 3e-06)" in words and "Checked 14:07" in words and "3.2 MB" in words
    real = text(downloads.section(follow.view(handmade.finished(tmp_path, base="sd15"))))
    assert "goes into ComfyUI/models/loras" in real and "Made for Stable Diffusion 1.5; it does not work" in real
    assert "a Load LoRA node" in real and "&lt;lora:biscuit:1&gt;" in real
    assert downloads.section(follow.view(handmade.run(tmp_path))) == ""
