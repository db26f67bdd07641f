// SPDX-License-Identifier: MIT
// What there is to know of one heap: its figures, its curves, and why it was granted, held back or forced.
import { lowerBound, sortOf, touching } from "./model.js";
import { amount, count, element, listOf, span, words } from "./text.js";

const EVERY = 700;
const GRANTED = new Set(["due", "slack", "together", "observed", "asked", "deferred", "began", "ended", "last-call"]);
const OVER = new Set(["over-limit", "overrun", "gates-open"]);

/** How urgent an instant is. */
const until = (us) => (us === null ? "not in sight" : us < 0 ? `${span(-us / 1000)} ago` : `in ${span(us / 1000)}`);

function kindOf(reason) {
  if (reason === "forced") return "forced";
  if (OVER.has(reason)) return "over";
  return GRANTED.has(reason) ? "granted" : "";
}

function tellHeap(heap) {
  const unit = heap.unit === "objects" ? " objects" : "";
  const share = heap.budget ? `${Math.round((100 * heap.used) / heap.budget)} % of ${amount(heap.budget, heap.unit)}` : "no budget";
  const rows = [
    ["state", words(heap.state)],
    ["used", `${amount(heap.used, heap.unit)}${unit}, ${share}`],
    ["allocates", `${amount(heap.alloc_rate_per_s, heap.unit)}${unit} a second`],
    ["budget used up", until(heap.exhaustion_us)],
    ["latest start", until(heap.latest_start_us)],
  ];
  const predicted = Object.entries(heap.predicted_pause_us).filter(([, us]) => us !== null);
  if (predicted.length) rows.push(["predicted pause", predicted.map(([kind, us]) => `${span(us / 1000)} (${kind})`).join(", ")]);
  rows.push(
    ["last pause", span(heap.last_pause_us / 1000)],
    ["pauses p50, p99, max", [heap.pause_p50_us, heap.pause_p99_us, heap.pause_max_us].map((us) => span(us / 1000)).join(", ")],
    ["resident memory", amount(heap.rss_bytes, "bytes")],
    ["forced, uncoordinated", `${count(heap.forced)}, ${count(heap.uncoordinated)}`],
    ["declined, expired, overruns", `${count(heap.declined)}, ${count(heap.expired)}, ${count(heap.overruns)}`],
    ["process", `${heap.runtime}, pid ${heap.pid}, uid ${heap.uid}`],
  );
  return rows;
}

function tellDecision(decision, unit) {
  const parts = [`used ${amount(decision.used, unit)} of ${amount(decision.budget, unit)}`];
  if (decision.latest_start_us !== null) parts.push(`latest start ${until(decision.latest_start_us)}`);
  if (decision.predicted_pause_us) parts.push(`pause ${span(decision.predicted_pause_us / 1000)}`);
  if (decision.slots) parts.push(`slots ${decision.slots_taken}/${decision.slots}`);
  if (decision.holder !== null) parts.push(`${decision.holder} held one`);
  return parts.join(" · ");
}

export class Panel {
  constructor(root, feed, closed) {
    this.root = root;
    this.feed = feed;
    this.closed = closed;
    this.track = null;
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  open(track) {
    if (this.track === track) return;
    this.track = track;
    this.build();
    this.root.hidden = false;
    clearTimeout(this.timer);
    this.take();
  }

  close() {
    if (!this.track) return;
    this.track = null;
    clearTimeout(this.timer);
    this.root.hidden = true;
    this.closed();
  }

  build() {
    const { track } = this;
    const header = element("header");
    const title = element("h3", track.name);
    const close = element("button", "✕");
    close.type = "button";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => this.close());
    header.append(title, element("span", `of ${track.service}`, "of"), element("span", "", "spacer"), close);
    this.canvas = element("canvas");
    this.canvas.setAttribute("role", "img");
    this.figures = element("div");
    this.why = element("ol", "", "why");
    this.why.id = "why";
    this.root.replaceChildren(
      header, element("h4", "Heap and budget"), this.canvas, element("h4", "Figures"), this.figures,
      element("h4", "Why: its last decisions, newest first"), this.why,
    );
  }

  async take() {
    const { track } = this;
    let told = null;
    try {
      told = await this.feed.explain(track.id);
    } catch {
      told = null;
    }
    if (this.track !== track) return;
    if (told) this.show(told);
    else if (track.gone) this.figures.replaceChildren(element("p", "This heap is gone; its process has ended, or left."));
    this.timer = setTimeout(() => this.take(), EVERY);
  }

  show({ heap, decisions }) {
    this.figures.replaceChildren(listOf(tellHeap(heap)));
    const key = decisions.map((one) => `${one.reason}${one.window}`).join();
    const items = [...decisions].reverse().map((decision) => {
      const item = element("li", "", kindOf(decision.reason));
      item.append(
        element("span", `${span(decision.ago_us / 1000)} ago`, "when"),
        element("p", `${words(decision.reason)}: ${decision.text}`),
        element("p", tellDecision(decision, heap.unit), "numbers"),
      );
      return item;
    });
    if (!items.length) items.push(element("li", "Nothing was decided yet."));
    // Ages alone change in place: a reader's place and selection stay.
    const ages = this.why.querySelectorAll(".when");
    if (key === this.key && ages.length === items.length) ages.forEach((age, i) => (age.textContent = items[i].firstChild.textContent));
    else this.why.replaceChildren(...items);
    this.key = key;
    this.canvas.setAttribute("aria-label", `Used ${amount(heap.used, heap.unit)} of a budget of ${amount(heap.budget, heap.unit)}`);
  }

  /** The curve, over the time that the timeline shows. */
  draw(view, colours, now) {
    if (!this.track) return;
    const { canvas, track } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const c = canvas.getContext("2d");
    const x = (at) => ((at - view.from) / view.span) * width;
    const first = Math.max(0, lowerBound(track.levels, view.from, (one) => one.begin) - 1);
    const levels = track.levels.slice(first).filter((one) => one.begin <= view.to);
    const most = Math.max(1, ...levels.map((one) => Math.max(one.used, one.budget))) * 1.12;
    const y = (value) => height - 2 - (value / most) * (height - 16);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    for (const pause of touching(track.pauses, view.from, view.to)) {
      c.fillStyle = colours[sortOf(pause)];
      c.fillRect(x(pause.begin), 0, Math.max(x(Math.min(pause.end, now)) - x(pause.begin), 1.5), height);
    }
    const line = (value, upTo) => {
      c.beginPath();
      levels.forEach((one, i) => (i ? c.lineTo(x(one.begin), y(value(one))) : c.moveTo(x(one.begin), y(value(one)))));
      if (levels.length && upTo) c.lineTo(x(now), y(value(levels.at(-1))));
    };
    c.lineJoin = "round";
    c.strokeStyle = colours.used;
    c.lineWidth = 2;
    line((one) => one.used, false);
    c.stroke();
    c.strokeStyle = colours.budget;
    c.lineWidth = 1.2;
    c.setLineDash([5, 4]);
    line((one) => one.budget, true);
    c.stroke();
    c.setLineDash([]);
    if (!levels.length) return;
    c.fillStyle = colours.budget;
    c.font = `11px ${getComputedStyle(canvas).fontFamily}`;
    c.fillText(`budget ${amount(levels.at(-1).budget, track.unit)}`, 6, Math.max(11, y(levels.at(-1).budget) - 4));
  }
}
