"""The content security policy fits every page: nothing of ours or of Gradio's breaks it, and what it is for holds."""

import handmade
import pytest
import walks
from playwright.sync_api import expect

from app.comparisons import comparison
from app.comparisons.plan import Column

PAGES = (
    "", "runs", "run?id={run}", "compare", "compare?ids={run},{other}", "compare?id={one}", "generate?run={run}",
    "computer",
)  # fmt: skip
WATCH = "window.broken = []; document.addEventListener('securitypolicyviolation', (e) => broken.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile));"  # noqa: E501
INJECT = """() => {
  const place = document.createElement('div');
  place.innerHTML = '<img src=x onerror="window.ran = true"><a href="javascript:window.ran = true">x</a>';
  document.body.append(place);
}"""


@pytest.mark.slow
def test_no_page_breaks_the_policy(app, page):
    run, other = handmade.finished(app.data), handmade.finished(app.data)
    one = comparison.make(app.data, "Which?", (8,), [(Column(method="delora"), run), (Column(method="lora"), other)])
    page.add_init_script(WATCH)
    for address in PAGES:
        page.goto(f"{app.url}/{address.format(run=run.id, other=other.id, one=one.id)}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(2500)
        assert page.evaluate("broken") == [], address
    walks.fill_in(page, app.url)
    page.get_by_role("button", name="Remove no. 1").click()
    expect(page.locator(".ds-shelf-item")).to_have_count(len(walks.SAMPLE) - 1)
    assert page.evaluate("broken") == [] and page.errors == [] and walks.foreign(page) == []


def test_html_that_got_into_a_page_runs_nothing_and_tells_nobody(app, page):
    page.goto(f"{app.url}/runs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.evaluate(INJECT)
    page.wait_for_timeout(500)
    assert page.evaluate("window.ran") is None
    told = "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)"
    assert page.evaluate(told) == "TypeError" and any("Content Security Policy" in error for error in page.errors)


def test_another_sites_page_can_neither_frame_nor_ask_it(app, page, tmp_path):
    foreign = app.url.replace("localhost", "127.0.0.1")  # another origin by its name
    page.goto(f"{foreign}/runs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    asking = f"fetch('{app.url}/studio/status', {{mode: 'MODE'}}).then((a) => a.status + a.type, (e) => e.name)"
    blank = page.context.new_page()
    blank.goto("data:text/html,<h1>other</h1>")
    assert blank.evaluate(asking.replace("MODE", "cors")) == "TypeError"
    assert blank.evaluate(asking.replace("MODE", "no-cors")) in ("TypeError", "0opaque")
    blank.set_content(f"<iframe src='{app.url}/runs'></iframe>")
    blank.wait_for_timeout(1500)
    assert "Runs" not in "".join(frame.content() for frame in blank.frames if frame.parent_frame)
