// SPDX-License-Identifier: MIT
// The live page: services, the timeline of all heaps, and what there is to know of one of them.
import { Feed } from "./feed.js";
import { figures } from "./model.js";
import { Panel } from "./panel.js";
import { count, element, span, words } from "./text.js";
import { legend, Timeline, View } from "./timeline.js";

const SPANS = { "10 s": 10e3, "1 min": 60e3, "5 min": 300e3, "15 min": 900e3 };
const byId = (id) => document.getElementById(id);
const view = new View(60e3);
view.live = true;

const feed = new Feed((what) => changed[what]());
const timeline = new Timeline(byId("timeline"), feed.model, view, { tip: byId("tip"), onSelect: select });
const panel = new Panel(byId("panel"), feed, () => timeline.canvas.focus());

const changed = {
  link: tellLink,
  state() {
    tellLink();
    tellHost();
    tellServices();
  },
  pauses: () => timeline.touch(),
  heaps: () => timeline.touch(),
};

// ---- above

function tellLink() {
  const link = byId("link");
  const told = [];
  if (!feed.up) {
    told.push(feed.epoch === null ? "connecting" : `no answer for ${span(Math.floor((performance.now() - feed.downSince) / 1000) * 1000)}, trying again`);
  } else {
    told.push(feed.status?.mode === "open" ? "gates open: nobody waits" : "live");
    if (feed.restarted !== null && performance.now() - feed.restarted < 60e3) {
      told.push(`the daemon has restarted, what was before is gone`);
    }
  }
  const text = told.join(" · ");
  if (link.textContent !== text) link.textContent = text;
  link.className = `link ${feed.up ? "up" : feed.epoch === null ? "" : "down"}`;
  document.title = feed.up && feed.status ? `rtgcd: ${feed.status.paused_now} paused` : "rtgcd: no answer";
}

function fact(name, value, kind = "") {
  const pair = element("div");
  pair.append(element("dt", name), element("dd", value, kind));
  return pair;
}

function tellHost() {
  const status = feed.status;
  const bad = (value) => (value ? "bad" : "");
  byId("host").replaceChildren(
    fact("heaps", `${count(status.heaps)} in ${count(status.services)} service${status.services === 1 ? "" : "s"}`),
    fact("paused", `${status.paused_now} of ${status.max_concurrent}`),
    fact("most", count(status.paused_max)),
    fact("windows", count(status.windows_granted)),
    fact("forced", count(status.forced), bad(status.forced)),
    fact("over limit", count(status.over_limit), bad(status.over_limit)),
    fact("overruns", count(status.overruns), status.overruns ? "warn" : ""),
    fact("decision p99", span(status.decision_p99_us / 1000)),
    fact("up", span(status.uptime_us / 1000)),
    fact("version", status.version),
  );
  const advice = byId("host-advice");
  advice.textContent = status.advice ? `Host: ${status.advice}` : "";
  advice.className = `advice ${status.schedulable ? "" : "warn"}`;
}

function slotsOf(service) {
  const slots = element("span", "", "slots");
  const shown = Math.min(Math.max(service.max_concurrent, service.paused_now), 12);
  for (let i = 0; i < shown; i++) {
    slots.append(element("i", "", i >= service.paused_now ? "" : i < service.max_concurrent ? "taken" : "excess"));
  }
  slots.append(element("span", `${service.paused_now} of ${service.max_concurrent}`));
  return slots;
}

function loadOf(service) {
  const meter = element("meter");
  meter.min = 0;
  meter.max = 1000;
  meter.high = 850;
  meter.value = service.load_permille;
  meter.title = `${Math.round(service.load_permille / 10)} % of its slots, at the present rates and pauses`;
  const text = element("span", ` ${Math.round(service.load_permille / 10)} %`);
  const both = element("span");
  both.append(meter, text);
  return both;
}

function rowOf(service) {
  const row = element("tr");
  const name = element("th", "", "name");
  const button = element("button", service.name);
  const cell = (content, kind = "") => {
    const made = element("td", "", kind);
    made.append(content);
    row.append(made);
  };
  name.scope = "row";
  button.type = "button";
  button.className = "plain";
  button.title = "Show its heaps only";
  button.addEventListener("click", () => setFilter(timeline.filter === service.name ? "" : service.name));
  name.append(button);
  row.append(name);
  if (timeline.filter && timeline.filter === service.name) row.className = "chosen";
  cell(service.held ? `${words(service.policy)}, held` : words(service.policy));
  cell(count(service.heaps), "number");
  cell(slotsOf(service));
  cell(count(service.paused_max), "number");
  cell(count(service.windows), "number");
  cell(span(service.wait_p99_us / 1000), "number");
  cell(loadOf(service));
  cell(count(service.forced), service.forced ? "number bad" : "number");
  cell(count(service.over_limit), service.over_limit ? "number bad" : "number");
  cell(service.advice, service.schedulable ? "" : "warn");
  row.lastChild.title = service.advice;
  return row;
}

/** What hurts comes first. */
function tellServices() {
  const hurts = (one) => one.over_limit * 4 + one.forced * 2 + (one.schedulable ? 0 : 1);
  const sorted = [...feed.services].sort((a, b) => hurts(b) - hurts(a) || a.name.localeCompare(b.name));
  const focused = document.activeElement?.closest?.("#services tr")?.rowIndex;
  byId("services").replaceChildren(...sorted.map(rowOf));
  if (!sorted.length) {
    const cell = element("td", "No service has connected yet: python3 -m rtgc --service NAME program.py");
    cell.colSpan = 11;
    const row = element("tr");
    row.append(cell);
    byId("services").append(row);
  }
  if (focused) byId("services").rows[focused - 1]?.querySelector("button")?.focus();
}

// ---- the timeline

function select(track, pause, open) {
  const shown = figures({ groups: new Map([["", { tracks: [track], steps: () => [] }]]) }, view.from, view.to);
  byId("said").textContent = `${track.name} of ${track.service}: ${count(shown.pauses)} pauses in sight, ` +
    `the longest ${span(shown.longest)}, ${count(shown.forced)} forced`;
  if (open || panel.track) panel.open(track);
}

function setFilter(text) {
  byId("filter").value = text;
  timeline.filter = text;
  timeline.touch();
  tellServices();
}

function setLive(live) {
  view.live = live;
  byId("live").setAttribute("aria-pressed", String(live));
}

function setSpan(ms) {
  view.set(view.to - ms, view.to);
}

function tellSpan() {
  for (const button of byId("spans").children) {
    button.setAttribute("aria-pressed", String(Math.abs(SPANS[button.textContent] / view.span - 1) < 0.01));
  }
  if (byId("live").getAttribute("aria-pressed") !== String(view.live)) setLive(view.live);
}

function setFit(fit) {
  timeline.fit = fit;
  byId("fit").setAttribute("aria-pressed", String(fit));
  timeline.touch();
}

function frame() {
  const now = feed.now();
  if (now !== null) {
    timeline.follow(now);
    timeline.draw();
    panel.draw(view, timeline.colours, now);
  }
  requestAnimationFrame(frame);
}

// ---- keys and buttons

const KEYS = {
  "/": () => byId("filter").focus(),
  "?": () => byId("help").showModal(),
  " ": () => setLive(!view.live),
  f: () => setFit(!timeline.fit),
};

function onKey(event) {
  const filter = byId("filter");
  if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
  if (event.target === filter) {
    if (event.key === "Escape") setFilter("");
    if (event.key === "Enter" || event.key === "Escape") timeline.canvas.focus();
    return;
  }
  if (event.key === "Escape") {
    if (panel.track) panel.close();
    else if (timeline.filter) setFilter("");
  }
  // Buttons take the space bar for themselves.
  if (!KEYS[event.key] || (event.key === " " && event.target.matches("button, summary"))) return;
  event.preventDefault();
  KEYS[event.key]();
}

for (const [name, ms] of Object.entries(SPANS)) {
  const button = element("button", name);
  button.type = "button";
  button.addEventListener("click", () => setSpan(ms));
  byId("spans").append(button);
}
legend(byId("legend"), { child: "child of a snapshot", used: "used of the budget" });
view.listeners.add(tellSpan);
tellSpan();
byId("filter").addEventListener("input", () => setFilter(byId("filter").value));
byId("live").addEventListener("click", () => setLive(!view.live));
byId("fit").addEventListener("click", () => setFit(!timeline.fit));
byId("help-button").addEventListener("click", () => byId("help").showModal());
document.addEventListener("keydown", onKey);
setInterval(tellLink, 1000);
feed.start();
requestAnimationFrame(frame);

export { feed, panel, timeline, view };
