// What a person is doing stays as it is while Gradio shows parts anew: folds, scroll positions and the focus.
(() => {
  // A dropdown can be typed into: the press that enters it marks what stands there, so that typing replaces it, as the
  // browser does by itself after Tab.
  const typable = (target) => target.matches?.("input[role=combobox]");
  let entered = null;
  document.addEventListener("focusin", ({ target }) => { entered = target; });
  document.addEventListener("click", ({ target }) => {
    if (target === entered && typable(target)) target.select();
    entered = null;
  });

  // A part that is shown anew forgets what a person opened, scrolled or had the focus on; these are put back by id.
  const open = {}, scrolled = {};
  let focused = {};  // what has the focus: its key (data-keep), and the id of what is to have it when that is gone
  const asLeft = (details) => {
    if (details.id in open && details.open !== open[details.id]) details.open = open[details.id];
  };
  document.addEventListener("click", ({ target }) => {
    const details = target.closest?.("summary")?.parentElement;
    if (details?.id) open[details.id] = !details.open;  // as it will be: a fold that the server's HTML closed is no click
  }, true);
  document.addEventListener("scroll", ({ target }) => { if (target.id) scrolled[target.id] = target.scrollLeft; }, true);
  document.addEventListener("focusin", ({ target }) => {
    focused = { key: target.dataset?.keep, instead: target.dataset?.instead };
  });
  // It went elsewhere: a dropdown that opens its list as it gets the focus changes the page before focusin tells of it.
  document.addEventListener("focusout", ({ relatedTarget }) => { if (relatedTarget) focused = {}; });
  document.addEventListener("pointerdown", ({ target }) => {
    const at = document.activeElement;
    if (at === document.body || !at.contains(target)) focused = {};  // a press beside it gives the focus up
  }, true);
  // Gradio turns a button into the one that follows it and leaves the focus on it: an impatient press would do another
  // thing than was meant.
  const refocus = () => {
    const at = document.activeElement;
    if (!focused.key || (at !== document.body && at.dataset.keep === focused.key)) return;
    const place = document.querySelector(`[data-keep="${CSS.escape(focused.key)}"]`) ?? document.getElementById(focused.instead);
    place?.focus({ preventScroll: true });
  };
  new MutationObserver((changes) => {
    for (const { type, target } of changes) if (type === "attributes") asLeft(target);
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.nodeType !== 1) continue;
      node.parentElement?.querySelectorAll("details[id]").forEach(asLeft);
      for (const id in scrolled) {
        const place = node.querySelector?.(`#${CSS.escape(id)}`) ?? (node.id === id ? node : null);
        if (place) place.scrollLeft = scrolled[id];
      }
    }
    refocus();
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["open", "data-keep"] });
})();
