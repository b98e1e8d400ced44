// A map as the page holds it: a square of class numbers, one byte a pixel, 255 where there is none. There is no colour
// here, and nothing is ever read back from a canvas: browsers may change what they give there.
(() => {
  const own = (window.dsMap ??= {});
  const IGNORED = own.IGNORED = 255, MOST_STEPS = 200, MOST_BYTES = 32 << 20;  // of the history

  own.Labels = class {
    constructor(edge, values = new Uint8Array(edge * edge).fill(IGNORED)) {
      this.edge = edge;
      this.values = values;  // row by row
    }

    inside(x, y) { return x >= 0 && y >= 0 && x < this.edge && y < this.edge; }
    at(x, y) { return this.inside(x, y) ? this.values[y * this.edge + x] : IGNORED; }
    get empty() { return this.values.every((label) => label === IGNORED); }

    /** Pixels of each label, 256 numbers. */
    counts() {
      const found = new Uint32Array(256);
      for (const label of this.values) found[label] += 1;
      return found;
    }

    /** Columns x0 to x1 of row y, both included. */
    row(y, x0, x1, label) {
      if (y < 0 || y >= this.edge) return;
      const from = Math.max(0, x0), to = Math.min(this.edge - 1, x1);
      if (from <= to) this.values.fill(label, y * this.edge + from, y * this.edge + to + 1);
    }

    /** All pixels whose centres are at most half of `width` from that of (x, y): 1 is one pixel, 3 is 3 x 3. */
    dab(x, y, width, label) {
      const reach = Math.floor(width / 2);
      for (let dy = -reach; dy <= reach; dy += 1) {
        const dx = Math.floor(Math.sqrt(width * width / 4 - dy * dy));
        this.row(y + dy, x - dx, x + dx, label);
      }
    }

    /** Dabs from one pixel to another, without a gap. */
    line([x0, y0], [x1, y1], width, label) {
      const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
      for (let i = 0; i <= steps; i += 1)
        this.dab(Math.round(x0 + (x1 - x0) * i / steps), Math.round(y0 + (y1 - y0) * i / steps), width, label);
    }

    rectangle([x0, y0], [x1, y1], label) {
      for (let y = Math.min(y0, y1); y <= Math.max(y0, y1); y += 1) this.row(y, Math.min(x0, x1), Math.max(x0, x1), label);
    }

    /** Pixels whose centres lie inside (even-odd), and those that the sides pass through. */
    polygon(points, label) {
      const sides = points.map((point, i) => [point, points[(i + 1) % points.length]]);
      const rows = points.map((point) => point[1]);
      for (let y = Math.max(0, Math.min(...rows)); y <= Math.min(this.edge - 1, Math.max(...rows)); y += 1) {
        const met = sides.filter(([[, a], [, b]]) => (a <= y) !== (b <= y))
          .map(([[ax, ay], [bx, by]]) => ax + (bx - ax) * (y - ay) / (by - ay)).sort((a, b) => a - b);
        for (let i = 0; i + 1 < met.length; i += 2) this.row(y, Math.ceil(met[i]), Math.floor(met[i + 1]), label);
      }
      for (const [from, to] of sides) this.line(from, to, 1, label);
    }

    /** The area of one label around (x, y), over shared sides. */
    fill(x, y, label) {
      const old = this.at(x, y), open = [[x, y]];
      if (!this.inside(x, y) || old === label) return;
      while (open.length) {
        const [at, row] = open.pop();
        if (this.at(at, row) !== old || !this.inside(at, row)) continue;
        let from = at, to = at;
        while (from > 0 && this.at(from - 1, row) === old) from -= 1;
        while (to < this.edge - 1 && this.at(to + 1, row) === old) to += 1;
        this.row(row, from, to, label);
        for (const next of [row - 1, row + 1])
          for (let i = from; i <= to; i += 1)
            if (this.inside(i, next) && this.at(i, next) === old && (i === from || this.at(i - 1, next) !== old)) open.push([i, next]);
      }
    }
  };

  /** What was changed, to be taken back: the rows that a step touched, as they were before it, or a whole other map. */
  own.History = class {
    constructor() { this.done = []; this.undone = []; }

    /** Note the step from `before` to how `labels` are now; false where nothing differs. */
    note(before, labels) {
      const { edge, values } = labels;
      const differs = (y) => { for (let i = y * edge; i < (y + 1) * edge; i += 1) if (values[i] !== before[i]) return true; };
      let from = 0, to = edge - 1;
      while (from < edge && !differs(from)) from += 1;
      if (from === edge) return false;
      while (!differs(to)) to -= 1;
      this.put({ start: from * edge, values: before.slice(from * edge, (to + 1) * edge) });
      return true;
    }

    /** Note that another map takes the place of `before`. */
    noteWhole(before) { this.put({ whole: before, values: before.values }); }

    put(step) {
      this.done.push(step);
      this.undone = [];
      let bytes = this.done.reduce((sum, { values }) => sum + values.length, 0);
      while (this.done.length > MOST_STEPS || (bytes > MOST_BYTES && this.done.length > 1)) bytes -= this.done.shift().values.length;
    }

    undo(kept) { return this.swap(this.done, this.undone, kept); }
    redo(kept) { return this.swap(this.undone, this.done, kept); }

    swap(from, to, kept) {
      const step = from.pop(), { labels } = kept;
      if (!step) return false;
      if (step.whole) {
        to.push({ whole: labels, values: labels.values });
        kept.labels = step.whole;
      } else {
        to.push({ start: step.start, values: labels.values.slice(step.start, step.start + step.values.length) });
        labels.values.set(step.values, step.start);
      }
      return true;
    }
  };

  // As app/web/parts/labels.py has it: the edge, a colon, and the bytes packed by zlib in base64.
  own.encode = async ({ edge, values }) => {
    const packed = new Uint8Array(await through(values, new CompressionStream("deflate")));
    let text = "";
    for (let i = 0; i < packed.length; i += 0x8000) text += String.fromCharCode(...packed.subarray(i, i + 0x8000));
    return `${edge}:${btoa(text)}`;
  };
  own.decode = async (text) => {
    const [edge, packed] = text.split(":");
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    return new own.Labels(Number(edge), new Uint8Array(await through(bytes, new DecompressionStream("deflate"))));
  };
  const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
})();
