// ADE20K's 150 classes on the page: their names and colours, and the list to choose one from.
(() => {
  const own = (window.dsMap ??= {});
  const NONE = "no class";
  let asked = null;

  /** All classes in order, each { index, name, synonyms, colour }; asked for once. */
  own.classes = () => asked ??= fetch("studio/classes").then((answer) => answer.json());
  own.nameOf = (classes, label) => classes[label]?.name ?? NONE;

  /** What typed words may mean: names before synonyms, beginnings before the rest (as classes.search does). */
  own.search = (classes, words) => {
    words = words.toLowerCase().split(/\s+/).filter(Boolean).join(" ");
    const among = (names) => names.some((name) => name.startsWith(words)) ? 0 : names.some((name) => name.includes(words)) ? 1 : null;
    const rank = ({ name, synonyms }) => {
      const first = among([name]), then = among(synonyms);
      return first ?? (then === null ? null : then + 2);
    };
    return classes.map((one) => [rank(one), one]).filter(([place]) => place !== null).sort((a, b) => a[0] - b[0]).map(([, one]) => one);
  };

  /** Labels (edge x edge) as a picture; `only` a class fades all others, and what has none is clear. */
  own.paint = (classes, { edge, values }, only = null) => {
    const picture = new ImageData(edge, edge), words = new Uint32Array(picture.data.buffer), colours = new Uint32Array(256);
    const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
    for (const { index, colour: [r, g, b] } of classes) {
      const a = only === null || only === index ? 255 : 50;
      colours[index] = little ? (a << 24 | b << 16 | g << 8 | r) >>> 0 : (r << 24 | g << 16 | b << 8 | a) >>> 0;
    }
    for (let i = 0; i < values.length; i += 1) words[i] = colours[values[i]];
    return picture;
  };

  /** The list: a search above it; the classes on the map first. `chosen(label)`, `looked(label or null)` are called. */
  own.Picker = class {
    constructor(place, classes, { chosen, looked }) {
      this.classes = classes;
      this.tell = { chosen, looked };
      this.counts = new Uint32Array(256);
      this.label = 2;
      this.active = null;
      place.innerHTML = `<label class="ds-paint-search">Class<input type="search" role="combobox" autocomplete="off"
        placeholder="Search by name" aria-expanded="true" aria-controls="ds-classes" aria-autocomplete="list"></label>
        <div role="listbox" id="ds-classes" class="ds-classes" tabindex="0" aria-label="Classes"></div>`;
      [this.words, this.list] = [place.querySelector("input"), place.querySelector("[role=listbox]")];
      this.words.addEventListener("input", () => { this.active = null; this.show(); });
      for (const part of [this.words, this.list]) part.addEventListener("keydown", (event) => this.key(event));
      this.list.addEventListener("click", ({ target }) => {
        const option = target.closest("[role=option]");
        if (option) this.choose(Number(option.dataset.label));
      });
      this.list.addEventListener("pointerover", ({ target, pointerType }) => {
        const option = target.closest("[role=option]");
        if (option && pointerType === "mouse") this.tell.looked(Number(option.dataset.label));
      });
      this.list.addEventListener("pointerleave", () => this.tell.looked(null));
      for (const part of [this.words, this.list]) part.addEventListener("blur", () => this.tell.looked(null));
      this.show();
    }

    /** Other counts of pixels, 256 numbers. */
    count(counts) {
      this.counts = counts;
      this.show();
    }

    choose(label) {
      this.label = label;
      this.show();
      this.tell.chosen(label);
    }

    key(event) {
      const options = [...this.list.querySelectorAll("[role=option]")], at = options.findIndex((option) => Number(option.dataset.label) === this.active);
      const to = { ArrowDown: at + 1, ArrowUp: Math.max(at, 1) - 1, Home: 0, End: options.length - 1 }[event.key];
      if (to !== undefined && !(event.target === this.words && ["Home", "End"].includes(event.key))) {
        event.preventDefault();
        this.active = Number(options[Math.min(to, options.length - 1)]?.dataset.label ?? NaN);
        this.show();
        this.list.querySelector(".ds-at")?.scrollIntoView({ block: "nearest" });
        this.tell.looked(this.active);
      } else if (event.key === "Enter" && options.length) {
        event.preventDefault();
        this.choose(Number((options[at] ?? options[0]).dataset.label));
      } else if (event.key === "Escape" && this.words.value) {
        event.preventDefault();
        this.words.value = "";
        this.show();
      }
    }

    show() {
      const found = own.search(this.classes, this.words.value), used = found.filter(({ index }) => this.counts[index]);
      used.sort((a, b) => this.counts[b.index] - this.counts[a.index]);
      const all = this.counts.reduce((sum, count) => sum + count, 0) || 1;
      const group = (title, classes, shares) => classes.length ? `<div role="group" aria-label="${title}"><div class="ds-classes-title"
        aria-hidden="true">${title}</div>${classes.map((one) => this.option(one, shares ? this.counts[one.index] / all : null)).join("")}</div>` : "";
      const rest = found.filter(({ index }) => !this.counts[index]);
      this.list.innerHTML = group("On the map", used, true) + group(used.length ? "Others" : "All classes", rest, false)
        || `<div role="option" aria-disabled="true" aria-selected="false" class="ds-quiet">No class has this in its names.</div>`;
      for (const part of [this.words, this.list])
        if (this.active === null) part.removeAttribute("aria-activedescendant");
        else part.setAttribute("aria-activedescendant", `ds-class-${this.active}`);
    }

    option({ index, name, synonyms, colour }, share) {
      const told = share === null ? "" : `<span class="ds-class-share">${own.percent(share)}</span>`;
      const more = synonyms.length ? `<span class="ds-quiet"> ${synonyms.join(", ")}</span>` : "";
      return `<div role="option" id="ds-class-${index}" data-label="${index}" aria-selected="${index === this.label}"
        class="${index === this.active ? "ds-at" : ""}"><span class="ds-swatch" style="background: rgb(${colour})"></span>
        <span class="ds-class-name">${name}${more}</span>${told}</div>`;
    }
  };

  own.percent = (share) => share && share < 0.001 ? "under 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
})();
