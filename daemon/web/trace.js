// SPDX-License-Identifier: MIT
// The file of rtgcctl trace --format=html: one timeline for each run that was recorded, with one
// scale of time. Nothing is fetched.
import { fromEvents, fromPages } from "./events.js";
import { figures } from "./model.js";
import { count, element, span } from "./text.js";
import { legend, Timeline, View } from "./timeline.js";

const byId = (id) => document.getElementById(id);
const record = JSON.parse(byId("record").textContent);
const view = new View(1000);
const timelines = [];

const whole = { from: 0, until: 0 };

function tellFigures(heading, found) {
  const facts = [
    [count(found.pauses), found.pauses === 1 ? "pause" : "pauses"],
    [span(found.longest), "the longest"],
    [count(found.most), "at most at once"],
    [span(found.total), "in all"],
  ];
  for (const [number, name] of [[found.forced, "forced"], [found.over, "over the limit"], [found.uncoordinated, "uncoordinated"]]) {
    if (number) facts.push([count(number), name, name !== "uncoordinated"]);
  }
  for (const [value, name, bad] of facts) {
    const fact = element("span");
    fact.append(element("b", value, bad ? "bad" : ""), ` ${name}`);
    heading.append(fact);
  }
}

function tell(track, pause) {
  const paused = figures({ groups: new Map([[0, { tracks: [track], steps: () => [] }]]) }, view.from, view.to);
  byId("said").textContent = pause
    ? `${track.name} of ${track.service}: ${pause.kind}, ${span(pause.end - pause.begin)}, ${pause.cause}`
    : `${track.name} of ${track.service}: ${count(paused.pauses)} pauses in sight, the longest ${span(paused.longest)}`;
}

/** Moves to the next pause of the selected heap, or the one before. */
function jump(timeline, direction) {
  const track = timeline.selected;
  const middle = (view.from + view.to) / 2;
  if (!track) return;
  const list = direction > 0 ? track.pauses : [...track.pauses].reverse();
  const next = list.find((pause) => direction * ((pause.begin + pause.end) / 2 - middle) > view.span * 1e-6);
  if (!next) return;
  const at = (next.begin + next.end) / 2;
  view.set(at - view.span / 2, at + view.span / 2);
  tell(track, next);
}

function show(run) {
  const { model, from, until } = run.pages ? fromPages(run.pages, run.services) : fromEvents(run.header, run.events);
  const section = element("section", "", "run");
  const heading = element("h2", run.name);
  const canvas = element("canvas", "", "timeline");
  const found = figures(model);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${run.name}: pauses of ${model.tracks.size} heaps over ${span(until - from)}, ` +
    `the longest ${span(found.longest)}, at most ${found.most} at once`);
  tellFigures(heading, found);
  section.append(heading, canvas);
  byId("runs").append(section);
  whole.from = Math.min(whole.from, from);
  whole.until = Math.max(whole.until, until);
  const timeline = new Timeline(canvas, model, view, { tip: byId("tip"), onSelect: tell });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "n") jump(timeline, 1);
    if (event.key === "p") jump(timeline, -1);
  });
  timelines.push(timeline);
  // No higher than its rows can be.
  const rows = [...model.groups.values()].reduce((sum, group) => sum + 34 + 44 * group.tracks.length, 0);
  section.style.maxHeight = `${Math.max(rows, 60) + 24 + 2 + 40}px`;
}

function showWhole() {
  const margin = 0.01 * Math.max(whole.until - whole.from, 100);
  view.set(whole.from - margin, whole.until + margin);
}

function onKey(event) {
  const filter = byId("filter");
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target === filter) {
    if (event.key === "Escape") {
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
      timelines[0]?.canvas.focus();
    }
    if (event.key === "Enter") timelines[0]?.canvas.focus();
    return;
  }
  if (event.key === "/") {
    filter.focus();
    event.preventDefault();
  }
  if (event.key === "0") showWhole();
}

for (const run of record.runs) show(run);
showWhole();
legend(byId("legend"), { child: "child of a snapshot", used: "used of the budget" });
byId("whole").addEventListener("click", showWhole);
byId("filter").addEventListener("input", () => {
  for (const timeline of timelines) {
    timeline.filter = byId("filter").value;
    timeline.touch();
  }
});
document.addEventListener("keydown", onKey);
export { record, timelines, view };
