// Pictures that are compared: the line between base model and adapter, and the arrow keys in a film strip.
(() => {
  // Base model and adapter at one seed: slider, buttons and a pointer on the picture move the line between the two.
  const cut = (from, value) => {
    const place = from.closest(".ds-compared");
    place.style.setProperty("--cut", `${value}%`);
    place.classList.toggle("ds-one", value <= 0 || value >= 100);
    place.querySelector("[data-slide]").value = value;
    for (const button of place.querySelectorAll("[data-cut]"))
      button.setAttribute("aria-pressed", Number(button.dataset.cut) === Number(value));
  };
  const drag = (event) => {
    const pair = event.target.closest?.(".ds-pair"), box = pair?.getBoundingClientRect();
    const held = event.type === "click" || pair?.hasPointerCapture(event.pointerId);
    if (held && box) cut(pair, Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width)));
  };
  document.addEventListener("pointerdown", ({ target, pointerId }) => {
    target.closest?.(".ds-pair")?.setPointerCapture(pointerId);
  });
  document.addEventListener("pointermove", drag);
  document.addEventListener("click", drag);
  document.addEventListener("input", ({ target }) => { if (target.matches?.("[data-slide]")) cut(target, target.value); });
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-cut]");
    if (button) cut(button, button.ariaPressed === "true" ? 50 : button.dataset.cut);
  });

  // A film strip is one stop for Tab: in it the arrow keys go from link to link, and Tab comes back to the last one.
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const inStrip = (target) => target.closest?.(".ds-film a[tabindex]");
  document.addEventListener("focusin", ({ target }) => {
    const link = inStrip(target);
    if (link) for (const other of link.closest("table").querySelectorAll("a[tabindex]")) other.tabIndex = other === link ? 0 : -1;
  });
  document.addEventListener("keydown", (event) => {
    const cell = inStrip(event.target)?.closest("th, td"), [down, right] = ARROWS[event.key] ?? [];
    if (!cell || down === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const rows = [...cell.closest("table").rows];
    let row = rows.indexOf(cell.parentElement), column = cell.cellIndex, link = null;
    do {
      row += down;
      column += right;
      link = rows[row]?.cells[column]?.querySelector("a[tabindex]");
    } while (!link && rows[row] && column > 0 && column < rows[0].cells.length);  // over gaps and headings of runs
    link?.focus();
  });
})();
