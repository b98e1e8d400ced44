// What is seen of the map that is painted (map-canvas.js): enlarged and moved, drawn, and where on it a pointer is.
(() => {
  const own = (window.dsMap ??= {});
  const MOST_ZOOM = 32;

  /**
   * Of what extends it: `labels`, `classes`, `canvas`, the `sheet` that is a pixel a label, `centre` (shares of the map)
   * and `zoom` of what is shown, `only` (a class to be found), `tool`, `width`, `corners`, and `over` and `cursor`: the
   * pixels of pointer and keyboard, or null.
   */
  own.Board = class extends HTMLElement {
    get side() { return this.canvas.clientWidth || 1; }
    get scale() { return this.zoom * this.side / this.labels.edge; }  // of a label, CSS pixels
    get origin() { return this.centre.map((share) => this.side / 2 - share * this.zoom * this.side); }

    /** The place under a pointer, as shares of the map. */
    place({ offsetX, offsetY }) {
      const [left, top] = this.origin;
      return [(offsetX - left) / (this.zoom * this.side), (offsetY - top) / (this.zoom * this.side)];
    }

    pixel(event) { return this.place(event).map((share) => Math.floor(share * this.labels.edge)); }

    /** Larger or smaller by a factor, 0 for all of it, with `at` (shares) staying where it is. */
    enlarge(factor, at = this.centre) {
      const before = this.zoom;
      this.zoom = factor ? Math.min(Math.max(before * factor, 1), MOST_ZOOM) : 1;
      this.centre = this.centre.map((share, i) => at[i] + (share - at[i]) * before / this.zoom);
      this.pan(0, 0);
    }

    pan(dx, dy) {
      const half = 0.5 / this.zoom, moves = [dx, dy];
      this.centre = this.centre.map((share, i) => Math.min(Math.max(share - moves[i] / (this.zoom * this.side), half), 1 - half));
      this.show();
    }

    pinch(event, last) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const now = [event.offsetX, event.offsetY], wide = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
      const [x, y] = [0, 1].map((i) => (now[i] + other[i]) / 2);
      this.enlarge(wide(now) / wide(last), this.place({ offsetX: x, offsetY: y }));
      this.pan((now[0] - last[0]) / 2, (now[1] - last[1]) / 2);
    }

    /** The cursor stays in sight. */
    follow() {
      const half = 0.5 / this.zoom;
      this.centre = this.centre.map((share, i) => {
        const at = (this.cursor[i] + 0.5) / this.labels.edge;
        return Math.min(Math.max(share, at - half * 0.8), at + half * 0.8);
      });
      this.pan(0, 0);
    }

    show(anew = false) {
      this.stale ||= anew;
      this.frame ??= requestAnimationFrame(() => { this.frame = null; this.render(); });
    }

    render() {
      const { canvas, sheet, labels: { edge }, side } = this, ratio = window.devicePixelRatio || 1;
      if (!this.isConnected || canvas.clientWidth === 0) return;
      if (sheet.width !== edge) [sheet.width, sheet.height, this.stale] = [edge, edge, true];
      if (this.stale) sheet.getContext("2d").putImageData(own.paint(this.classes, this.labels, this.only), 0, 0);
      this.stale = false;
      const size = Math.round(side * ratio), pen = canvas.getContext("2d"), [left, top] = this.origin, scale = this.scale;
      if (canvas.width !== size) canvas.width = canvas.height = size;
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, side, side);  // what has no class shows the ground of the page: a chequered one
      pen.imageSmoothingEnabled = false;
      pen.drawImage(sheet, left, top, edge * scale, edge * scale);
      const at = this.over ?? this.cursor, corner = ([x, y]) => [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
      if (at && ["brush", "eraser"].includes(this.tool)) {
        const path = new Path2D();
        path.arc(...corner(at), Math.max(this.width * scale / 2, 2), 0, 7);
        this.outline(pen, path);
      }
      if (this.cursor) {
        const [x, y] = corner(this.cursor), cross = new Path2D(`M${x - 12} ${y}h24M${x} ${y - 12}v24`);
        this.outline(pen, cross);
      }
      if (this.corners.length) {
        const points = [...this.corners, ...(at ? [at] : [])].map(corner), path = new Path2D(`M${points.join("L")}`);
        for (const [x, y] of this.corners.map(corner)) path.rect(x - 3, y - 3, 6, 6);
        this.outline(pen, path);
      }
    }

    outline(pen, path) {
      for (const [width, colour] of [[3.5, "#000000"], [1.5, "#ffffff"]]) {
        [pen.lineWidth, pen.strokeStyle] = [width, colour];
        pen.stroke(path);
      }
    }
  };
})();
