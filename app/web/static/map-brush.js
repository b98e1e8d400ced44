// What the tools do on the map that is painted (map-canvas.js), set down and drawn along by a pointer or by keys.
(() => {
  const own = (window.dsMap ??= {});

  /** Of what extends it, beside what the board needs: `picker`, and `change`, `changed` and `put`, which make a step. */
  own.Tools = class extends own.Board {
    get label() { return this.tool === "eraser" ? own.IGNORED : this.picker.label; }

    down(event) {
      event.preventDefault();
      this.canvas.focus({ preventScroll: true });
      this.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      this.cursor = null;
      if (this.pointers.size === 2) return this.drop();  // two fingers enlarge and move
      if (event.button === 1) this.dragged = true;
      else if (event.button === 0 && this.pointers.size === 1) this.begin(this.pixel(event));
    }

    moved(event) {
      const last = this.pointers.get(event.pointerId);
      this.over = this.pixel(event);
      if (last) {
        this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
        if (this.pointers.size === 2) this.pinch(event, last);
        else if (this.dragged || this.tool === "move") this.pan(event.offsetX - last[0], event.offsetY - last[1]);
        else if (this.stroke) for (const one of event.getCoalescedEvents?.() ?? [event]) this.go(this.pixel(one));
        if (this.stroke) this.go(this.over);
      }
      this.tell();
      this.show();
    }

    up(event) {
      this.pointers.delete(event.pointerId);
      if (event.type === "pointercancel") this.drop();
      if (this.stroke) this.finish(this.pixel(event));
      this.dragged = false;
      if (event.pointerType !== "mouse") this.over = null;
      this.show();
    }

    /** A tool set down on a pixel. */
    begin(at) {
      if (this.tool === "pick") {
        if (this.labels.at(...at) !== own.IGNORED) this.picker.choose(this.labels.at(...at));
      } else if (this.tool === "fill") this.change((labels) => labels.fill(...at, this.label));
      else if (this.tool === "polygon") this.corner(at);
      else if (this.tool !== "move") {
        this.stroke = { before: this.labels.values.slice(), from: at, at };
        this.go(at);
      }
    }

    /** The tool drawn on to a pixel. */
    go(at) {
      const { stroke } = this;
      if (this.tool === "rectangle") {
        this.labels.values.set(stroke.before);
        this.labels.rectangle(stroke.from, at, this.label);
      } else this.labels.line(stroke.at, at, this.width, this.label);
      stroke.at = at;
      this.stale = true;
      this.show();
    }

    finish(at) {
      this.go(at);
      const { before } = this.stroke;
      this.stroke = null;
      this.changed(before);
    }

    /** Give up the step at hand. */
    drop() {
      if (this.stroke) this.labels.values.set(this.stroke.before);
      this.stroke = null;
      this.corners = [];
      this.put();
    }

    corner(at) {
      const [first] = this.corners, near = 6 / this.scale;
      if (this.corners.length > 2 && Math.hypot(at[0] - first[0], at[1] - first[1]) <= near) return this.close();
      this.corners.push(at);
      this.put();
    }

    close() {
      const { corners } = this;
      this.corners = [];
      if (corners.length > 2) this.change((labels) => labels.polygon(corners, this.label));
      this.put();
    }
  };
})();
