// The canvas that a map is painted on: <ds-canvas> on the page Generate. It holds class numbers (map-labels.js); colours
// are only what is shown of them.
(() => {
  const own = (window.dsMap ??= {});
  const KEPT = "ds-map", WIDEST = 99, STEP = 8;
  const TOOLS = {  // name -> its key, what it is called, and what it does
    brush: ["b", "Brush", "Paints with the chosen class."],
    rectangle: ["r", "Rectangle", "Two corners."],
    polygon: ["p", "Polygon", "A corner at each press; Enter, or a press on the first one, closes it, Escape drops it."],
    fill: ["f", "Fill", "The whole area of one class."],
    eraser: ["e", "Eraser", "Back to no class."],
    pick: ["i", "Pick", "Takes the class from the map."],
    move: ["h", "Move", "Drags what is shown when it is enlarged."],
  };
  const HELP = "Arrow keys move the cursor, with Shift by 8 pixels. Space uses the tool there, and held down it paints on. " +
    "Ctrl+Z takes back, Ctrl+Y does again, plus and minus enlarge, 0 shows all, square brackets change the width.";
  let kept = null;  // the labels and their history, when Gradio takes the canvas out of the page and puts it back

  const button = (act, text, more = "") => `<button type="button" class="ds-button ds-small" data-do="${act}" ${more}>${text}</button>`;
  const tools = Object.entries(TOOLS).map(([name, [key, title, told]]) =>
    `<button type="button" class="ds-button ds-small" data-tool="${name}" aria-pressed="false" aria-keyshortcuts="${key.toUpperCase()}"
      title="${told} Key ${key.toUpperCase()}.">${title}</button>`).join("");
  const LAYOUT = `
    <div class="ds-row" role="group" aria-label="Tools">${tools}</div>
    <div class="ds-row">
      <label class="ds-paint-width">Width <input type="range" min="1" max="${WIDEST}" step="2" value="9"> <span>9 px</span></label>
      ${button("undo", "Undo")}${button("redo", "Redo")}${button("less", "−", 'aria-label="Smaller"')}
      ${button("all", "All", 'aria-label="Show all of it"')}${button("more", "+", 'aria-label="Larger"')}${button("close", "Close the polygon", "hidden")}
    </div>
    <div class="ds-paint">
      <div class="ds-sheet"><canvas tabindex="0" role="application" aria-label="Map" aria-describedby="ds-paint-help"></canvas>
        <p class="ds-under-pointer"></p><p class="ds-hidden" role="status"></p><p class="ds-hidden" id="ds-paint-help">${HELP}</p></div>
      <div class="ds-picker"></div>
    </div>
    <div class="ds-row"><label>Start over from <select class="ds-select" data-layer>
      <option value="ground">sky and grass</option><option value="class">the chosen class everywhere</option><option value="none">nothing</option>
    </select></label>${button("start", "Start over")}</div>`;

  class Canvas extends own.Tools {
    async connectedCallback() {
      if (this.classes) return;
      this.classes = await own.classes();
      if (!this.isConnected || this.sheet) return;
      this.innerHTML = LAYOUT;
      [this.canvas, this.under, this.said] = [this.querySelector("canvas"), this.querySelector(".ds-under-pointer"), this.querySelector("[role=status]")];
      this.sheet = document.createElement("canvas");  // a pixel a label
      Object.assign(this, { tool: "brush", width: 9, zoom: 1, centre: [0.5, 0.5], cursor: null, corners: [], only: null, pointers: new Map() });
      this.picker = new own.Picker(this.querySelector(".ds-picker"), this.classes, {
        chosen: () => { if (["eraser", "pick", "move"].includes(this.tool)) this.take("brush"); this.tell(); },
        looked: (label) => { this.only = label; this.show(true); },
      });
      if (!kept) await this.restore();
      this.listen();
      this.take(this.tool);
      this.put();
      own.canvas = this;
    }

    disconnectedCallback() { this.watch?.disconnect(); }
    get labels() { return kept.labels; }

    // What is on it

    async restore() {
      const text = sessionStorage.getItem(KEPT);
      const labels = text ? await own.decode(text).catch(() => null) : null;
      kept ??= { labels: labels ?? new own.Labels(own.edge ?? 128), history: new own.History() };
    }

    /** Another map in the place of this one: a step, which can be taken back. */
    replace(labels) {
      if (labels.edge === this.labels.edge) return this.change((now) => now.values.set(labels.values));
      kept.history.noteWhole(this.labels);
      kept.labels = labels;
      this.put();
      this.keep();
    }

    /** Do a whole step at once. */
    change(work) {
      const before = this.labels.values.slice();
      work(this.labels);
      this.changed(before);
    }

    changed(before) {
      if (!kept.history.note(before, this.labels)) return;
      this.put();
      this.keep();
    }

    keep() {
      clearTimeout(this.later);
      this.later = setTimeout(async () => {
        const text = await own.encode(this.labels);
        try { sessionStorage.setItem(KEPT, text); } catch { /* full or closed: it only helps over a reload */ }
      }, 300);
    }

    startOver(layer) {
      const edge = own.edge ?? this.labels.edge, fresh = new own.Labels(edge);
      if (layer === "class") fresh.values.fill(this.picker.label);
      if (layer === "ground") {
        fresh.rectangle([0, 0], [edge - 1, Math.ceil(edge / 2) - 1], own.labelOf(this.classes, "sky"));
        fresh.rectangle([0, Math.ceil(edge / 2)], [edge - 1, edge - 1], own.labelOf(this.classes, "grass"));
      }
      this.replace(fresh);
    }

    // Pointers and keys

    listen() {
      const { canvas } = this;
      canvas.addEventListener("pointerdown", (event) => this.down(event));
      canvas.addEventListener("pointermove", (event) => this.moved(event));
      for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
      canvas.addEventListener("pointerleave", () => { if (!this.pointers.size) { this.over = null; this.tell(); this.show(); } });
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;  // the wheel alone scrolls the page
        event.preventDefault();
        this.enlarge(event.deltaY < 0 ? 1.25 : 0.8, this.place(event));
      }, { passive: false });
      this.addEventListener("keydown", (event) => this.key(event));
      this.addEventListener("keyup", ({ key }) => { if (key === " ") this.lift(); });
      canvas.addEventListener("blur", () => this.lift());
      this.addEventListener("click", ({ target }) => {
        const pressed = target.closest("[data-tool], [data-do]");
        if (pressed?.dataset.tool) this.take(pressed.dataset.tool);
        else if (pressed) this.act(pressed.dataset.do);
      });
      this.querySelector("[type=range]").addEventListener("input", ({ target }) => this.widen(Number(target.value)));
      (this.watch = new ResizeObserver(() => this.show())).observe(canvas);
    }

    act(name) {
      if (name === "undo" || name === "redo") {
        if (name === "undo" && this.corners.length) this.corners.pop();
        else if (kept.history[name](kept)) this.keep();
        this.put();
      }
      if (name === "less" || name === "more") this.enlarge(name === "more" ? 1.5 : 1 / 1.5);
      if (name === "all") this.enlarge(0);
      if (name === "close") this.close();
      if (name === "start") this.startOver(this.querySelector("[data-layer]").value);
    }

    take(tool) {
      this.tool = tool;
      this.corners = [];
      for (const one of this.querySelectorAll("[data-tool]")) one.setAttribute("aria-pressed", String(one.dataset.tool === tool));
      this.canvas.style.cursor = tool === "move" ? "grab" : "crosshair";
      this.show();
    }

    widen(width) {
      this.width = Math.min(Math.max(width, 1), WIDEST);
      this.querySelector("[type=range]").value = this.width;
      this.querySelector(".ds-paint-width span").textContent = `${this.width} px`;
      this.show();
    }

    key(event) {
      const letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (event.target.matches("input, select, [role=listbox]") || event.altKey) return;
      const done = event.ctrlKey || event.metaKey ? this.command(letter, event) : this.plain(letter, event);
      if (done) event.preventDefault();
    }

    command(letter, event) {
      const act = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[letter];
      if (act) this.act(act);
      return act;
    }

    plain(letter, event) {
      const tool = Object.keys(TOOLS).find((name) => TOOLS[name][0] === letter), zoom = { "+": "more", "=": "more", "-": "less", 0: "all" }[letter];
      if (tool) this.take(tool);
      else if (zoom) this.act(zoom);
      else if ("[]".includes(letter)) this.widen(this.width + (letter === "[" ? -2 : 2));
      else if (event.target !== this.canvas) return false;
      else if (letter === "Enter" && this.corners.length) this.close();
      else if (letter === "Escape" && (this.corners.length || this.stroke)) this.drop();
      else if (letter === "Backspace" && this.corners.length) this.act("undo");
      else if (letter === " " || letter === "Enter") this.press(event);
      else return this.arrow(letter, event.shiftKey ? STEP : 1);
      return true;
    }

    /** Space: brush and eraser paint while it is held, a rectangle begins and ends with it. */
    press(event) {
      if (event.repeat) return;
      this.cursor ??= this.middle();
      if (this.tool === "rectangle" && this.stroke) this.finish(this.cursor);
      else if (!this.stroke) this.begin(this.cursor);
      this.tell(true);
    }

    lift() {
      if (this.stroke && !this.pointers.size && this.tool !== "rectangle") this.finish(this.stroke.at);
    }

    arrow(key, step) {
      const [x, y] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key] ?? [];
      if (x === undefined) return false;
      const now = this.cursor ?? this.middle(), most = this.labels.edge - 1;
      this.cursor = [now[0] + x, now[1] + y].map((value) => Math.min(Math.max(value, 0), most));
      this.over = null;
      if (this.stroke) this.go(this.cursor);
      this.follow();
      this.tell(true);
      this.show();
      return true;
    }

    middle() { return this.centre.map((share) => Math.min(Math.floor(share * this.labels.edge), this.labels.edge - 1)); }

    /** The class under the pointer or the cursor, in words; aloud where a key was pressed. */
    tell(aloud = false) {
      const at = this.over ?? this.cursor, inside = at && this.labels.inside(...at);
      const words = inside ? `${own.nameOf(this.classes, this.labels.at(...at))} at ${at.join(", ")}` : "";
      this.under.textContent = words || `Paints ${own.nameOf(this.classes, this.picker.label)}.`;
      if (aloud) this.said.textContent = words;
    }

    /** After a step: colours, shares and buttons anew. */
    put() {
      this.stale = true;
      this.picker.count(this.labels.counts());
      this.canvas.setAttribute("aria-label", `Map, ${this.labels.edge} by ${this.labels.edge} pixels`);
      const off = (name, is) => { this.querySelector(`[data-do=${name}]`).ariaDisabled = String(is); };
      off("undo", !kept.history.done.length && !this.corners.length);
      off("redo", !kept.history.undone.length);
      this.querySelector("[data-do=close]").hidden = this.corners.length < 3;
      this.tell();
      this.show();
    }
  }

  own.labelOf = (classes, name) => classes.find((one) => one.name === name).index;
  /** What is on the canvas, as text for the server; "" where there is none. */
  own.read = async () => kept ? own.encode(kept.labels) : "";

  customElements.define("ds-canvas", Canvas);
})();
