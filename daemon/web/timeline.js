// SPDX-License-Identifier: MIT
// The timeline: one row for each heap, grouped by service, and over each service how many of its
// heaps paused at once. Drawn on a canvas; only the rows that can be seen are.
import { lowerBound, sortOf, touching } from "./model.js";
import { element, listOf, SORTS, tellPause, tellWindow } from "./text.js";

const AXIS = 24; // height of the time axis
const GROUP = 34; // of the line of a service
const ROW_READABLE = 18;
const ROW_LEAST = 1;
const ROW_MOST = 44;
const LABEL_FROM = 12; // rows lower than this are not named
const CURVE_FROM = 14;
const FUTURE = 0.04; // of the width, right of now
const SPAN_LEAST = 0.05;
const SPAN_MOST = 24 * 3600e3;
const NEAR = 4; // pixels that one may miss a pause by
const ORDER = ["window", "snapshot", "uncoordinated", "over", "forced"]; // the last is on top

const COLOURS = [
  "ground", "ink", "faint", "line", "stripe", "focus", "band", "announced", "child", "used", "budget",
  "load", "excess", ...ORDER,
];

/** The stretch of time that is shown; several timelines may share one. */
export class View {
  constructor(span) {
    this.span = span;
    this.to = span;
    this.live = false;
    this.listeners = new Set();
  }

  get from() {
    return this.to - this.span;
  }

  changed() {
    for (const listener of this.listeners) listener();
  }

  set(from, to) {
    this.span = Math.min(Math.max(to - from, SPAN_LEAST), SPAN_MOST);
    this.to = from + this.span;
    this.changed();
  }

  /** at: the instant that stays where it is. */
  zoom(factor, at) {
    const share = (at - this.from) / this.span;
    const span = Math.min(Math.max(this.span * factor, SPAN_LEAST), SPAN_MOST);
    this.set(at - share * span, at - share * span + span);
  }

  pan(by) {
    this.live = false;
    this.set(this.from + by, this.to + by);
  }
}

/** A step of the axis: 1, 2 or 5 times a power of ten of ms, or what clocks have. */
function stepOf(span, most) {
  const least = span / most;
  for (const step of [60e3, 120e3, 300e3, 600e3, 1800e3, 3600e3, 7200e3]) {
    if (least > 30e3 && step >= least) return step;
  }
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least);
}

export class Timeline {
  /**
   * options: onSelect(track, pause or null); tip: an element for what is pointed at; zero: what
   * the axis counts from (a function); labels: width of the names.
   */
  constructor(canvas, model, view, options = {}) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.model = model;
    this.view = view;
    this.options = options;
    this.labels = options.labels ?? 150;
    this.filter = "";
    this.fit = true;
    this.scroll = 0;
    this.selected = null;
    this.pointed = null;
    this.now = null; // live: the present instant; drawn as a line
    this.frames = 0;
    this.dirty = true;
    this.rows = [];
    view.listeners.add(() => this.touch());
    this.readColours();
    this.listen();
    this.resize();
  }

  touch() {
    this.dirty = true;
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.dirty) this.draw();
    });
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    this.colours = Object.fromEntries(
      COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
    this.font = `12px ${style.fontFamily}`;
    this.small = `11px ${style.fontFamily}`;
    this.bold = `600 12.5px ${style.fontFamily}`;
    this.dirty = true;
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    this.ratio = window.devicePixelRatio || 1;
    this.width = Math.max(box.width, this.labels + 60);
    this.height = Math.max(box.height, AXIS + GROUP);
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.touch();
  }

  // ---- where things are

  get plot() {
    return this.width - this.labels;
  }

  x(at) {
    return this.labels + ((at - this.view.from) / this.view.span) * this.plot;
  }

  at(x) {
    return this.view.from + ((x - this.labels) / this.plot) * this.view.span;
  }

  matches(track) {
    const sought = this.filter.toLowerCase();
    return !sought || `${track.service} ${track.name}`.toLowerCase().includes(sought);
  }

  /** Rows from top to bottom, of services and heaps, as they are filtered. */
  layout() {
    if (this.laidOut === this.layoutKey()) return;
    this.laidOut = this.layoutKey();
    const groups = this.model
      .sortedGroups()
      .map((group) => ({ group, tracks: group.tracks.filter((track) => this.matches(track)) }))
      .filter((one) => one.tracks.length);
    const tracks = groups.reduce((sum, one) => sum + one.tracks.length, 0);
    const room = this.height - AXIS - groups.length * GROUP;
    const fitting = Math.floor((room / Math.max(tracks, 1)) * 20) / 20;
    this.row = Math.min(Math.max(fitting, this.fit ? ROW_LEAST : ROW_READABLE), ROW_MOST);
    this.rows = [];
    let y = 0;
    for (const { group, tracks: members } of groups) {
      this.rows.push({ group, y, height: GROUP });
      y += GROUP;
      for (const track of members) {
        this.rows.push({ track, y, height: this.row });
        y += this.row;
      }
    }
    this.content = y;
    this.scroll = Math.max(0, Math.min(this.scroll, this.content - (this.height - AXIS)));
  }

  layoutKey() {
    return `${this.model.layout} ${this.filter} ${this.fit} ${this.height}`;
  }

  rowAt(y) {
    if (y < AXIS) return null;
    const within = y - AXIS + this.scroll;
    const row = this.rows[Math.max(0, lowerBound(this.rows, within, (one) => one.y + one.height))];
    return row && within >= row.y ? row : null;
  }

  /** The pause or window at that place of a row; pauses first. */
  spanAt(track, x) {
    const [from, to] = [this.at(x - NEAR), this.at(x + NEAR)];
    const middle = this.at(x);
    const distance = (one) => Math.max(one.begin - middle, middle - Math.min(one.end, this.now ?? one.end), 0);
    const [pause] = touching(track.pauses, from, to).sort((a, b) => distance(a) - distance(b));
    if (pause) return { pause };
    const [window] = touching(track.windows, middle, middle + 1e-6);
    return window ? { window } : {};
  }

  // ---- drawing

  draw() {
    const c = this.context;
    this.dirty = false;
    this.frames++;
    this.layout();
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.fillStyle = this.colours.ground;
    c.fillRect(0, 0, this.width, this.height);
    const step = stepOf(this.view.span, Math.max(3, this.plot / 110));
    const top = AXIS;
    c.save();
    c.beginPath();
    c.rect(0, top, this.width, this.height - top);
    c.clip();
    const shown = this.shownRows();
    this.drawGround(shown, step);
    this.drawCurves(shown);
    this.drawSpans(shown);
    for (const row of shown) if (row.group) this.drawSteps(row);
    this.drawLabels(shown);
    this.drawSelection(shown);
    c.restore();
    this.drawAxis(step);
    this.drawScrollbar();
  }

  shownRows() {
    const first = lowerBound(this.rows, this.scroll, (row) => row.y + row.height);
    const last = lowerBound(this.rows, this.scroll + this.height - AXIS, (row) => row.y);
    return this.rows.slice(first, last);
  }

  top(row) {
    return AXIS + row.y - this.scroll;
  }

  drawGround(rows, step) {
    const c = this.context;
    c.fillStyle = this.colours.stripe;
    for (const row of rows) {
      if (row.group) c.fillRect(0, this.top(row), this.width, row.height);
    }
    c.strokeStyle = this.colours.line;
    c.lineWidth = 1;
    c.beginPath();
    for (const at of this.marks(step)) {
      const x = Math.round(this.x(at)) + 0.5;
      c.moveTo(x, AXIS);
      c.lineTo(x, Math.min(this.height, AXIS + this.content - this.scroll));
    }
    if (this.row >= LABEL_FROM) {
      for (const row of rows) {
        if (!row.track) continue;
        const y = Math.round(this.top(row) + row.height) - 0.5;
        c.moveTo(this.labels, y);
        c.lineTo(this.width, y);
      }
    }
    c.stroke();
  }

  *marks(step) {
    const zero = this.zero();
    for (let n = Math.ceil((this.view.from - zero) / step); zero + n * step <= this.view.to; n++) {
      yield zero + n * step;
    }
  }

  /** What the axis counts from: now, or where the record begins. */
  zero() {
    if (this.view.live && this.now !== null) return this.now;
    return this.options.zero?.() ?? 0;
  }

  drawSpans(rows) {
    const { from, to } = this.view;
    const painted = Object.fromEntries(["announced", "band", "child", ...ORDER].map((name) => [name, []]));
    for (const row of rows) {
      if (!row.track) continue;
      const y = this.top(row);
      const inset = row.height >= LABEL_FROM ? 2.5 : row.height > 6 ? 1 : Math.min(0.5, (row.height - 2) / 2);
      this.placeWindows(row.track, y, row.height, painted, from, to);
      this.placeChildren(row.track, y + inset, row.height - 2 * inset, painted, from, to);
      this.placePauses(row.track, y + inset, row.height - 2 * inset, painted, from, to);
    }
    const c = this.context;
    for (const [name, boxes] of Object.entries(painted)) {
      c.fillStyle = this.colours[name];
      for (let i = 0; i < boxes.length; i += 4) c.fillRect(boxes[i], boxes[i + 1], boxes[i + 2], boxes[i + 3]);
    }
    if (this.row >= LABEL_FROM) this.drawMarks(painted.forced, painted.over);
  }

  placeWindows(track, y, height, painted, from, to) {
    const list = track.windows;
    for (let i = lowerBound(list, from, (one) => one.end); i < list.length && list[i].begin < to; i++) {
      const window = list[i];
      const opens = Number.isFinite(window.opens) ? Math.min(window.opens, window.end) : Math.min(window.end, this.now ?? to);
      const x0 = Math.max(this.x(window.begin), this.labels);
      const x1 = this.x(opens);
      if (x1 - x0 > 0.5) painted.announced.push(x0, y + height / 2 - 1, x1 - x0, 2);
      const end = window.end === Infinity ? Math.max(window.closes || to, this.now ?? to) : window.end;
      const x2 = Math.min(this.x(end), this.width);
      if (x2 > x1) painted.band.push(Math.max(x1, this.labels), y, Math.max(x2 - Math.max(x1, this.labels), 1), height);
    }
  }

  placePauses(track, y, height, painted, from, to) {
    const list = track.pauses;
    const last = {};
    for (let i = lowerBound(list, from, (one) => one.end); i < list.length && list[i].begin < to; i++) {
      const sort = sortOf(list[i]);
      const [x0, x1] = this.stretch(list[i]);
      // What lies on the same pixels is painted once.
      if (x1 <= last[sort]) continue;
      last[sort] = x1;
      painted[sort].push(x0, y, x1 - x0, height);
    }
  }

  placeChildren(track, y, height, painted, from, to) {
    for (const child of touching(track.children, from, to)) {
      const [x0, x1] = this.stretch(child);
      painted.child.push(x0, y, x1 - x0, height);
    }
  }

  /** From where to where it is painted. */
  stretch(one) {
    const end = Math.min(one.end, this.now ?? this.view.to);
    const x0 = Math.max(this.x(one.begin), this.labels);
    return [x0, Math.min(Math.max(this.x(end), x0 + 2), this.width)];
  }

  /** Forced pauses and those over the limit are also told apart by a mark, not by colour alone. */
  drawMarks(forced, over) {
    const c = this.context;
    c.fillStyle = this.colours.forced;
    c.beginPath();
    for (let i = 0; i < forced.length; i += 4) {
      const x = forced[i] + forced[i + 2] / 2;
      const y = forced[i + 1];
      c.moveTo(x - 4, y - 2.5);
      c.lineTo(x + 4, y - 2.5);
      c.lineTo(x, y + 3.5);
      c.closePath();
    }
    c.fill();
    c.fillStyle = this.colours.over;
    for (let i = 0; i < over.length; i += 4) {
      c.fillRect(over[i] - 2, over[i + 1] - 2, over[i + 2] + 4, 2);
    }
  }

  /** What is used of the budget, from the bottom of the row to its top. */
  drawCurves(rows) {
    if (this.row < CURVE_FROM) return;
    const c = this.context;
    c.strokeStyle = this.colours.used;
    c.lineWidth = 1.2;
    c.beginPath();
    for (const row of rows) {
      if (!row.track) continue;
      const levels = row.track.levels;
      const first = Math.max(0, lowerBound(levels, this.view.from, (one) => one.begin) - 1);
      let begun = false;
      for (let i = first; i < levels.length; i++) {
        const { begin, used, budget } = levels[i];
        if (!budget) continue;
        const share = Math.min(used / budget, 1.05);
        const y = this.top(row) + row.height - 1.5 - share * (row.height - 3);
        const x = Math.max(this.x(begin), this.labels);
        if (begun) c.lineTo(x, y);
        else c.moveTo(x, y);
        begun = true;
        if (begin > this.view.to) break;
      }
    }
    c.stroke();
  }

  /** How many of a service's heaps paused at once, against its limit. */
  drawSteps(row) {
    const { group } = row;
    const steps = group.steps();
    const { from, to } = this.view;
    const c = this.context;
    const bottom = this.top(row) + row.height - 3;
    const room = row.height - 8;
    const first = Math.max(0, lowerBound(steps, from, (one) => one.begin) - 1);
    const end = Math.min(this.now ?? Infinity, to);
    let most = Math.max(group.limit ?? 1, 1) + 1;
    for (let i = first; i < steps.length && steps[i].begin < to; i++) most = Math.max(most, steps[i].level);
    const unit = room / most;
    // Levels that fall on one pixel are drawn as their greatest.
    let x0 = -1;
    let greatest = 0;
    const put = (x, level) => {
      if (level <= 0) return;
      const within = Math.min(level, group.limit ?? level);
      c.fillStyle = this.colours.load;
      c.fillRect(x0, bottom - within * unit, Math.max(x - x0, 1.5), within * unit);
      if (level > within) {
        c.fillStyle = this.colours.excess;
        c.fillRect(x0, bottom - level * unit, Math.max(x - x0, 1.5), (level - within) * unit);
      }
    };
    for (let i = first; i < steps.length && steps[i].begin < to; i++) {
      const left = Math.max(this.x(steps[i].begin), this.labels);
      const right = this.x(Math.min(steps[i + 1]?.begin ?? end, end));
      if (right < this.labels) continue;
      if (left - x0 < 1 && steps[i].level <= greatest) continue;
      x0 = left;
      greatest = steps[i].level;
      put(right, greatest);
    }
    if (group.limit !== null) {
      const y = Math.round(bottom - group.limit * unit) + 0.5;
      c.strokeStyle = this.colours.faint;
      c.setLineDash([4, 4]);
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(this.labels, y);
      c.lineTo(this.width, y);
      c.stroke();
      c.setLineDash([]);
    }
  }

  drawLabels(rows) {
    const c = this.context;
    c.fillStyle = this.colours.ground;
    c.fillRect(0, AXIS, this.labels - 1, this.height - AXIS);
    c.textBaseline = "middle";
    c.textAlign = "left";
    for (const row of rows) {
      const y = this.top(row);
      if (row.group) {
        c.fillStyle = this.colours.stripe;
        c.fillRect(0, y, this.labels - 1, row.height);
        c.fillStyle = this.colours.ink;
        c.font = this.bold;
        this.write(row.group.name, 10, y + 11, this.labels - 16);
        c.fillStyle = this.colours.faint;
        c.font = this.small;
        this.write(this.tellGroup(row.group), 10, y + 25, this.labels - 16);
      } else if (this.row >= LABEL_FROM) {
        c.fillStyle = row.track.gone ? this.colours.faint : this.colours.ink;
        c.font = this.font;
        this.write(row.track.name, 18, y + row.height / 2, this.labels - 24);
      }
    }
  }

  tellGroup(group) {
    const heaps = `${group.tracks.length} heap${group.tracks.length === 1 ? "" : "s"}`;
    return group.limit === null ? heaps : `${heaps} · limit ${group.limit}`;
  }

  /** As much of a text as fits. */
  write(text, x, y, room) {
    const c = this.context;
    let shown = text;
    if (c.measureText(text).width > room) {
      let length = Math.max(1, Math.floor((text.length * room) / c.measureText(text).width));
      while (length > 1 && c.measureText(text.slice(0, length) + "…").width > room) length--;
      shown = text.slice(0, length) + "…";
    }
    c.fillText(shown, x, y);
  }

  drawSelection(rows) {
    const c = this.context;
    for (const row of rows) {
      if (!row.track || (row.track !== this.selected && row.track !== this.pointed?.track)) continue;
      const y = Math.round(this.top(row));
      if (row.track === this.selected) {
        c.fillStyle = this.colours.focus;
        c.fillRect(0, y, 4, row.height);
        c.globalAlpha = 0.12;
        c.fillRect(4, y, this.width, row.height);
        c.globalAlpha = 1;
      }
      if (this.row < LABEL_FROM) this.drawBadge(row.track.name, y + row.height / 2);
    }
    if (this.now !== null && this.now < this.view.to) {
      c.fillStyle = this.colours.focus;
      c.fillRect(Math.round(this.x(this.now)), AXIS, 1, Math.min(this.height, this.content) - AXIS + AXIS);
    }
    c.fillStyle = this.colours.line;
    c.fillRect(this.labels - 1, AXIS, 1, this.height);
  }

  /** The name of a row that is too low for one. */
  drawBadge(name, y) {
    const c = this.context;
    const top = Math.min(Math.max(y - 9, AXIS), this.height - 18);
    c.fillStyle = this.colours.ink;
    c.fillRect(8, top, this.labels - 16, 18);
    c.fillStyle = this.colours.ground;
    c.font = this.font;
    c.textBaseline = "middle";
    this.write(name, 14, top + 9, this.labels - 28);
  }

  drawAxis(step) {
    const c = this.context;
    const zero = this.zero();
    c.fillStyle = this.colours.ground;
    c.fillRect(0, 0, this.width, AXIS);
    c.fillStyle = this.colours.faint;
    c.font = this.small;
    c.textBaseline = "middle";
    c.textAlign = "center";
    for (const at of this.marks(step)) {
      const x = this.x(at);
      if (x < this.labels + 14 || x > this.width - 14) continue;
      c.fillText(this.tellInstant(at - zero), x, AXIS / 2);
    }
    c.textAlign = "left";
    c.fillRect(this.labels - 1, AXIS - 1, this.width, 1);
  }

  tellInstant(ms) {
    if (Math.abs(ms) < 1e-9) return this.view.live ? "now" : "0";
    const sign = ms < 0 ? "−" : "";
    const size = Math.abs(ms);
    if (this.view.span >= 90e3) {
      const s = Math.round(size / 1000);
      return `${sign}${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
    }
    const digits = this.view.span >= 5e3 ? (size % 1000 ? 1 : 0) : this.view.span >= 200 ? 3 : 5;
    return `${sign}${(size / 1000).toFixed(digits)} s`;
  }

  drawScrollbar() {
    const room = this.height - AXIS;
    if (this.content <= room) return;
    const c = this.context;
    c.fillStyle = this.colours.line;
    c.fillRect(this.width - 5, AXIS, 5, room);
    c.fillStyle = this.colours.faint;
    c.fillRect(this.width - 5, AXIS + (this.scroll / this.content) * room, 5, Math.max(12, (room * room) / this.content));
  }

  // ---- hands

  listen() {
    const { canvas } = this;
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.readColours();
      this.touch();
    });
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => this.onUp(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (event) => {
      if (!event.altKey && !event.metaKey && this.onKey(event)) event.preventDefault();
    });
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** Over the rows the wheel scrolls, where there is more than fits; else, and with Ctrl, it zooms. */
  onWheel(event) {
    event.preventDefault();
    const { x } = this.place(event);
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const overLabels = x < this.labels;
    if (sideways) {
      this.view.pan((((event.deltaX || event.deltaY) / this.plot) * this.view.span));
    } else if (overLabels) {
      this.scrollBy(event.deltaY);
    } else {
      this.zoomAt(Math.exp(event.deltaY * 0.0015), x);
    }
  }

  zoomAt(factor, x) {
    this.view.zoom(factor, this.view.live && this.now !== null ? this.now : this.at(x));
  }

  scrollBy(pixels) {
    this.scroll = Math.max(0, Math.min(this.scroll + pixels, this.content - (this.height - AXIS)));
    this.touch();
  }

  onDown(event) {
    if (event.button !== 0) return;
    const place = this.place(event);
    this.drag = { ...place, from: this.view.from, to: this.view.to, scroll: this.scroll, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  onMove(event) {
    const { x, y } = this.place(event);
    const drag = this.drag;
    if (!drag) {
      this.point(this.whatIsAt(x, y), event);
      return;
    }
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < 4) return;
    if (!drag.moved) this.point(null);
    drag.moved = true;
    if (x !== drag.x && drag.x >= this.labels) {
      const by = ((drag.x - x) / this.plot) * this.view.span;
      this.view.live = false;
      this.view.set(drag.from + by, drag.to + by);
    }
    this.scroll = drag.scroll;
    this.scrollBy(drag.y - y);
  }

  onUp(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.moved) return;
    const { x, y } = this.place(event);
    const what = this.whatIsAt(x, y);
    if (what?.track) this.select(what.track, what.pause ?? null, true);
  }

  whatIsAt(x, y) {
    const row = this.rowAt(y);
    if (!row?.track) return null;
    return { track: row.track, ...(x >= this.labels ? this.spanAt(row.track, x) : {}) };
  }

  point(what, event) {
    const same = what?.track === this.pointed?.track && what?.pause === this.pointed?.pause && what?.window === this.pointed?.window;
    this.pointed = what;
    const { tip } = this.options;
    if (!same) {
      this.canvas.classList.toggle("over-pause", Boolean(what?.pause));
      this.touch();
    }
    if (!tip) return;
    if (!what?.pause && !what?.window) {
      tip.hidden = true;
      return;
    }
    if (!same || tip.hidden) this.fillTip(tip, what);
    const [x, y] = [event.clientX + 14, event.clientY + 16];
    tip.style.left = `${Math.max(4, Math.min(x, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : y}px`;
  }

  fillTip(tip, what) {
    if (what.pause?.end === Infinity) what.pause.now = this.now;
    const rows = what.pause ? tellPause(what.track, what.pause) : tellWindow(what.track, what.window);
    const title = element("strong", what.track.name, what.pause ? `sort-${sortOf(what.pause)}` : "");
    tip.replaceChildren(title, listOf(rows));
    tip.hidden = false;
  }

  select(track, pause = null, open = false) {
    this.selected = track;
    const row = this.rows.find((one) => one.track === track);
    if (row) {
      const room = this.height - AXIS;
      if (row.y < this.scroll) this.scroll = Math.max(0, row.y - (row.y < 2 * GROUP ? GROUP : 0));
      if (row.y + row.height > this.scroll + room) this.scroll = row.y + row.height - room;
    }
    this.options.onSelect?.(track, pause, open);
    this.touch();
  }

  step(by) {
    this.layout(); // a filter that was typed just now may not be drawn yet
    const tracks = this.rows.filter((row) => row.track).map((row) => row.track);
    if (!tracks.length) return;
    const at = tracks.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : tracks.length - 1) : Math.min(Math.max(at + by, 0), tracks.length - 1);
    this.select(tracks[next]);
  }

  /** Whether the key meant something. */
  onKey(event) {
    const far = event.shiftKey ? 0.5 : 0.1;
    const middle = this.labels + this.plot / 2;
    const keys = {
      ArrowLeft: () => this.view.pan(-far * this.view.span),
      ArrowRight: () => this.view.pan(far * this.view.span),
      ArrowUp: () => this.step(-1),
      ArrowDown: () => this.step(1),
      PageUp: () => this.step(-10),
      PageDown: () => this.step(10),
      "+": () => this.zoomAt(0.7, middle),
      "=": () => this.zoomAt(0.7, middle),
      "-": () => this.zoomAt(1 / 0.7, middle),
      Enter: () => this.selected && this.options.onSelect?.(this.selected, null, true),
    };
    if (event.ctrlKey || !keys[event.key]) return false;
    keys[event.key]();
    return true;
  }

  /** Live: the view ends a little behind now. */
  follow(now) {
    this.now = now;
    if (this.view.live) this.view.set(now + FUTURE * this.view.span - this.view.span, now + FUTURE * this.view.span);
    this.dirty = true;
  }
}

/** What the colours mean, as a list. */
export function legend(list, more = {}) {
  for (const [sort, text] of Object.entries({ ...SORTS, band: "window", ...more })) {
    const item = element("li");
    item.append(element("i", "", `mark mark-${sort}`), text);
    list.append(item);
  }
}
