// SPDX-License-Identifier: MIT
// Numbers and pauses as text. What processes call themselves is only ever put into text nodes and
// onto the canvas, never into markup.

const digits = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);

/** A span of milliseconds. */
export function span(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const size = Math.abs(ms);
  if (size === 0) return "0";
  if (size < 1) return `${Math.round(ms * 1000)} µs`;
  if (size < 1000) return `${ms.toFixed(digits(size))} ms`;
  const s = ms / 1000;
  if (size < 120e3) return `${s.toFixed(digits(Math.abs(s)))} s`;
  if (size < 2 * 3600e3) return `${Math.round(s / 60)} min`;
  if (size < 48 * 3600e3) return `${(s / 3600).toFixed(1)} h`;
  return `${Math.round(s / 86400)} d`;
}

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** An amount in the unit of its heap. */
export function amount(value, unit = "objects") {
  if (value === null || value === undefined) return "–";
  let power = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1000 && power < PREFIXES.length - 1) {
    scaled /= 1000;
    power++;
  }
  const number = power ? scaled.toFixed(digits(Math.abs(scaled))) : String(Math.round(scaled));
  if (unit === "bytes") return `${number} ${PREFIXES[power]}B`;
  return `${number}${power ? " " + PREFIXES[power] : ""}`;
}

export const count = (value) => (value ?? 0).toLocaleString("en-US");

/** "over_limit" as words. */
export const words = (key) => String(key ?? "").replaceAll("_", " ").replaceAll("-", " ");

export const SORTS = {
  window: "in a window",
  snapshot: "snapshot",
  forced: "forced",
  over: "over the limit",
  uncoordinated: "uncoordinated",
};

const CAUSES = {
  window: "in its window",
  forced: "forced: it reached its ceiling and collected without a window",
  uncoordinated: "uncoordinated: its runtime collected on its own",
};

/** What is known of a pause: rows of name and value. */
export function tellPause(track, pause) {
  const rows = [
    ["service", track.service],
    [pause.end === Infinity ? "paused for" : "pause", span((pause.end === Infinity ? pause.now : pause.end) - pause.begin)],
    ["kind", pause.kind],
    ["cause", CAUSES[pause.cause] ?? words(pause.cause)],
  ];
  if (pause.over) rows.push(["limit", "exceeded: memory would not have lasted"]);
  if (pause.reason) rows.push(["granted", words(pause.reason)]);
  if (pause.overrun) rows.push(["overrun", "it ended after its window"]);
  if (pause.predicted) rows.push(["predicted", span(pause.predicted)]);
  if (Number.isFinite(pause.wait)) rows.push(["waited", span(pause.wait)]);
  if (pause.freed) rows.push(["freed", amount(pause.freed, track.unit) + (track.unit === "objects" ? " objects" : "")]);
  return rows;
}

/** What is known of a window that was not used, or is not in use yet. */
export function tellWindow(track, window) {
  const rows = [["service", track.service], ["window", window.outcome ? `over: ${words(window.outcome)}` : words(window.state ?? "open")]];
  rows.push(["kind", window.kind]);
  if (Number.isFinite(window.opens)) rows.push(["lead", span(window.opens - window.begin)]);
  if (window.reason) rows.push(["granted", words(window.reason)]);
  if (window.predicted) rows.push(["predicted", span(window.predicted)]);
  return rows;
}

/** Rows of name and value, as a definition list. */
export function listOf(rows) {
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    list.append(element("dt", name), element("dd", value));
  }
  return list;
}

/** An element with text and a class. */
export function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
