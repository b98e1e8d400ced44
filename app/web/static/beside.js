// The grid of a comparison: a picture that is pressed opens large, beside any other picture of its grid.
(() => {
  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const SIDES = { left: "Left", right: "Right" };
  const PROMPTED = "a[data-cell]";

  // The picture on the left lies over the other and is cut off at the line, which static/pictures.js moves.
  const dialog = () => {
    const selects = {}, images = {}, captions = {}, saves = {};
    for (const side in SIDES) {
      selects[side] = make("select", { class: "ds-select", "data-side": side });
      images[side] = make("img", { alt: "", draggable: "false" });
      captions[side] = make("span", { class: `ds-caption ds-${side}`, "aria-hidden": "true" });
      saves[side] = make("a", { class: "ds-button", download: "" });
    }
    const close = make("button", { type: "button", class: "ds-button" }, "Close");
    const slider = { type: "range", min: 0, max: 100, step: "any", value: 50, "data-slide": "", "aria-label": "How much of the left picture is shown" };
    const pair = make("div", { class: "ds-viewer ds-pair" }, images.right, captions.right,
      make("div", { class: "ds-over" }, images.left, captions.left), make("span", { class: "ds-cut", "aria-hidden": "true" }));
    const labels = Object.entries(SIDES).map(([side, name]) => make("label", {}, name, selects[side]));
    const buttons = [[100, "Only the left"], [0, "Only the right"]].map(([cut, name]) =>
      make("button", { type: "button", class: "ds-button", "data-cut": cut, "aria-pressed": "false" }, name));
    const box = make("dialog", { class: "ds-beside", "aria-label": "Two pictures beside one another" },
      make("div", { class: "ds-beside-head" }, ...labels, close),
      make("div", { class: "ds-compared", style: "--cut: 50%" }, pair, make("input", slider),
        make("div", { class: "ds-row ds-under" }, ...buttons)),
      make("div", { class: "ds-row ds-under" }, saves.left, saves.right));
    close.addEventListener("click", () => box.close());
    return { box, selects, images, captions, saves };
  };

  let shown = null, cells = [];
  const show = (side) => {
    const cell = cells[shown.selects[side].value];
    shown.images[side].src = cell.image;
    shown.images[side].alt = cell.name;
    shown.captions[side].textContent = cell.name;
    shown.saves[side].hidden = !cell.save;
    if (cell.save) shown.saves[side].href = cell.save;
    shown.saves[side].textContent = `Adapter of ${cell.name}`;
  };
  const other = (grid, link) => {  // the same save of the row below or above, else the base model of its own row
    const cell = link.closest("td"), rows = [...grid.querySelectorAll("tbody tr")], at = rows.indexOf(cell.parentElement);
    const near = [...rows.slice(at + 1), ...rows.slice(0, at)].map((row) => row.cells[cell.cellIndex]?.querySelector(PROMPTED));
    return near.find(Boolean) ?? cell.parentElement.querySelector(PROMPTED);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(PROMPTED);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const grid = link.closest(".ds-grid"), links = [...grid.querySelectorAll(PROMPTED)];
    cells = links.map(({ dataset, children: [image] }) => ({ name: dataset.cell, save: dataset.save, image: image.src }));
    shown?.box.remove();
    shown = dialog();
    document.getElementById("ds-beside").append(shown.box);  // where nothing is shown anew
    for (const [side, chosen] of [["left", link], ["right", other(grid, link)]]) {
      shown.selects[side].append(...cells.map(({ name }, value) => make("option", { value }, name)));
      shown.selects[side].value = links.indexOf(chosen);
      shown.selects[side].addEventListener("change", () => show(side));
      show(side);
    }
    shown.box.showModal();
  });
})();
