// What the server gives the page of maps: one for the canvas, the size of what is begun anew, and a map beside the
// picture that follows it.
(() => {
  const own = (window.dsMap ??= {});

  /** A map for the canvas, such as an uploaded one; each key is taken once. */
  const taken = new Set();
  class Arrived extends HTMLElement {
    static observedAttributes = ["key"];
    async attributeChangedCallback() {
      const [key, labels] = [this.getAttribute("key"), this.getAttribute("labels")];
      if (!labels || taken.has(key)) return;
      taken.add(key);
      const came = await own.decode(labels);
      while (!own.canvas?.isConnected) await new Promise((again) => setTimeout(again, 100));
      own.canvas.replace(came);
    }
  }

  /** The edge in pixels that pictures will have. */
  class Edge extends HTMLElement {
    static observedAttributes = ["value"];
    attributeChangedCallback() {
      own.edge = Number(this.getAttribute("value"));
      const { canvas } = own;
      if (canvas?.isConnected && canvas.labels.empty && canvas.labels.edge !== own.edge) canvas.startOver("none");
    }
  }

  const LAYOUT = `
    <style>
      :host { display: block; max-width: 760px; }
      div { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; }
      figure { margin: 0; } figcaption { font-size: 13px; color: var(--ds-quiet); margin-top: 4px; }
      span { position: relative; display: block; aspect-ratio: 1; border-radius: 8px; overflow: hidden; background: var(--ds-soft); }
      img, canvas { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
      img { image-rendering: auto; } .over { opacity: var(--seen, 0.6); }
      label { display: flex; gap: 8px; align-items: center; } label[hidden] { display: none; }
      input { flex: 1; min-width: 0; accent-color: var(--ds-accent); } p { min-height: 1.5em; margin: 6px 0 0; color: var(--ds-ink); }
    </style>
    <div><figure><span><canvas role="img" aria-label="The map"></canvas></span><figcaption>The map</figcaption></figure>
      <figure><span><img alt="The picture"><canvas class="over" role="img" aria-label="What the segmentor saw in the picture"></canvas></span>
        <figcaption>The picture<label hidden>What was seen <input type="range" min="0" max="100" value="60"></label></figcaption></figure></div>
    <p></p>`;

  /** A map and its picture side by side, with what the segmentor saw over the picture; both say what is pointed at. */
  class Followed extends HTMLElement {
    static observedAttributes = ["map", "seen", "picture", "scores"];
    connectedCallback() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" });
      root.innerHTML = LAYOUT;
      this.canvases = [...root.querySelectorAll("canvas")];
      [this.told, this.image] = [root.querySelector("p"), root.querySelector("img")];
      root.querySelector("input").addEventListener("input", ({ target }) => this.style.setProperty("--seen", target.value / 100));
      for (const place of root.querySelectorAll("span")) {
        place.addEventListener("pointermove", (event) => this.point(event, place.getBoundingClientRect()));
        place.addEventListener("pointerleave", () => this.find(null, ""));
      }
      this.show();
    }

    attributeChangedCallback() {
      if (this.shadowRoot) this.coming ??= Promise.resolve().then(() => { this.coming = null; this.show(); });  // of several, once
    }

    async show() {
      const texts = ["map", "seen"].map((name) => this.getAttribute(name));
      const [classes, ...labels] = await Promise.all([own.classes(), ...texts.map((text) => text ? own.decode(text) : null)]);
      Object.assign(this, { classes, labels, scores: JSON.parse(this.getAttribute("scores") ?? "{}") });
      this.image.src = this.getAttribute("picture");
      this.shadowRoot.querySelector("label").hidden = !labels[1];
      this.find(null, "");
    }

    point(event, box) {
      const [map, seen] = this.labels ?? [];
      if (!map) return;
      const at = (labels) => labels.at(Math.floor((event.clientX - box.left) / box.width * labels.edge), Math.floor((event.clientY - box.top) / box.height * labels.edge));
      const label = at(map), name = own.nameOf(this.classes, label), iou = this.scores[label];
      const words = seen ? `, seen as ${own.nameOf(this.classes, at(seen))}` : "";
      this.find(label === own.IGNORED ? null : label, `${name}${words}${iou === undefined ? "" : `; IoU of ${name} ${own.percent(iou)}`}`);
    }

    /** One class alone in its full colours, and what is said of it. */
    find(label, words) {
      this.told.textContent = words || (this.labels[1] ? "Point at a class for its IoU." : "");
      if (this.found === label && this.painted === this.labels) return;
      [this.found, this.painted] = [label, this.labels];
      this.canvases.forEach((canvas, i) => {
        const labels = this.labels[i];
        canvas.hidden = !labels;
        if (!labels) return;
        canvas.width = canvas.height = labels.edge;
        canvas.getContext("2d").putImageData(own.paint(this.classes, labels, label), 0, 0);
      });
    }
  }

  customElements.define("ds-arrived", Arrived);
  customElements.define("ds-edge", Edge);
  customElements.define("ds-followed", Followed);
})();
