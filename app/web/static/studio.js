// Keeps the status strip, the tab's title and its icon up to date, says when the app is lost, and announces ends once.
(() => {
  const EVERY = 1500, PATIENCE = 2000, LOST = "This page has lost the app. Training does not need the page. Reconnecting.";
  const NAME = "DeLoRA Studio";
  let known = {}, shown = "", lost = false, title = null, announced = "", slow = 0;

  const element = (id) => document.getElementById(id);

  function icon(colour) {
    let link = document.querySelector("link[rel~=icon]");
    if (!link) document.head.append(link = Object.assign(document.createElement("link"), { rel: "icon" }));
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="13" fill="none" ` +
      `stroke="${colour}" stroke-width="3"/><path d="M16 3a13 13 0 0 1 0 26z" fill="${colour}"/></svg>`;
    link.href = "data:image/svg+xml," + encodeURIComponent(svg);
  }

  function say(words) {
    if (!words || words === announced) return;
    announced = words;
    const place = element("ds-said");
    if (place) place.textContent = words;
  }

  function show(status) {
    const strip = element("ds-strip");
    if (strip && (status.html !== shown || !strip.dataset.filled)) {
      shown = status.html;
      strip.dataset.filled = "1";
      strip.innerHTML = status.html;
      strip.classList.toggle("ds-bad", !status.worker);
    }
    for (const run of status.runs) {
      const before = known[run.id];
      if (before && before.state !== run.state) say(run.words);
      else if (before && before.news !== run.news) say(run.news);
      if (before && before.state !== run.state && run.ended) {
        title = `${run.state === "done" ? "✓" : "!"} ${run.words}`;
        icon(run.state === "done" ? "#15803d" : "#b42318");
      }
      known[run.id] = run;
    }
    const page = document.querySelector("[data-page-title]")?.dataset.pageTitle;
    document.title = [title || status.title, page, NAME].filter(Boolean).join(" · ");
  }

  function mark(now) {
    lost = now;
    const place = element("ds-lost");
    if (!place || place.hidden === !now) return;
    place.hidden = !now;
    place.textContent = now ? LOST : "";
  }

  async function ask() {
    try {
      const answer = await fetch("studio/status", { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
      if (lost) say("The app is back.");
      mark(false);
      slow = 0;
    } catch (error) {
      slow += 1;  // a busy server may answer late once; a dead one refuses at once
      if (error.name !== "TimeoutError" || slow > 1) mark(true);
    }
    setTimeout(ask, EVERY);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && title) setTimeout(() => { title = null; icon("#0f766e"); }, 4000);
  });
  // A link into the page puts the focus there; by itself it would open the address that the page's base names.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']"), place = link && element(link.hash.slice(1));
    if (!link) return;
    event.preventDefault();
    place?.scrollIntoView({ block: "nearest" });
    (place?.matches("[tabindex]") ? place : place?.querySelector("input, textarea, button"))?.focus();
  });
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    const text = element(button.dataset.copy)?.textContent ?? "";
    await navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("Copying is not allowed here."));
    button.textContent = announced === "Copied." ? "Copied" : "Mark it and copy it by hand";
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-start-worker]");
    if (!button) return;
    button.disabled = true;
    button.textContent = "Starting …";
    await fetch("studio/worker", { method: "POST", headers: { "X-Studio": "1" } }).catch(() => {});
  });
  ask();
})();
