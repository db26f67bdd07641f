// SPDX-License-Identifier: MIT
// What was recorded, as a model: the lines of an event log (rtgcd-events(5)), or the answers of the
// daemon's control socket (rtgc-control(7)).
import { Model } from "./model.js";

const MS = 1e6; // ns

const ms = (ns) => (ns === null || ns === undefined ? NaN : Number(ns) / MS);

/** What a pause is shown as: of a snapshot, the time for which the program stood still. */
export function spans({ begin, end, stop, kind, ...more }) {
  if (kind !== "snapshot") return { pause: { begin, end, kind, ...more } };
  const child = { begin, end };
  if (!Number.isFinite(stop)) return { child };
  return { child, pause: { begin, end: begin + stop, kind, ...more } };
}

class Log {
  constructor(header) {
    this.model = new Model();
    this.zero = ms(header.at_ns);
    this.windows = new Map(); // of heaps: their present or last one
    this.begun = new Map(); // of heaps: the collection under way
    this.serial = 0;
    this.last = this.zero;
    this.configure(header);
  }

  configure(config) {
    this.services = new Map((config.services ?? []).map((service) => [service.name, service]));
    this.defaults = config.defaults;
    for (const group of this.model.groups.values()) this.limit(group);
  }

  limit(group) {
    const config = this.services.get(group.name) ?? this.defaults;
    group.limit = config?.max_concurrent ?? null;
    group.policy = config?.policy ?? "";
  }

  at(ns) {
    return ms(ns) - this.zero;
  }

  line(line) {
    const handler = this[`on_${line.event ?? line.action}`];
    this.last = Math.max(this.last, ms(line.at_ns));
    if (line.event === "config") this.configure(line);
    else if (line.event === "join") this.join(line);
    else if (handler && this.model.tracks.has(line.heap)) handler.call(this, line, this.model.tracks.get(line.heap));
  }

  join(line) {
    const track = this.model.track(line.heap, line.name || String(line.pid), line.service);
    track.unit = line.unit;
    track.budget = line.budget;
    this.limit(this.model.group(track.service));
  }

  on_report(line, track) {
    track.budget = line.budget || track.budget;
    this.model.addLevel(track, this.at(line.taken_ns), line.used, track.budget);
  }

  on_announce(line, track) {
    this.window(track, {
      id: line.window, begin: this.at(line.at_ns), opens: NaN, end: Infinity, kind: line.kind, predicted: ms(line.predicted_ns),
    });
  }

  on_open(line, track) {
    const held = this.windows.get(track.id)?.window;
    this.window(track, {
      ...(held?.id === line.window ? held : { id: line.window, begin: this.at(line.at_ns), end: Infinity, kind: line.kind }),
      opens: this.at(line.opens_ns), closes: this.at(line.closes_ns), must: line.must, over: line.over_limit, reason: line.reason,
      predicted: ms(line.predicted_ns), wanted: this.at(line.wanted_ns),
    });
  }

  window(track, window) {
    const held = this.windows.get(track.id);
    const id = held?.window.id === window.id ? held.id : ++this.serial;
    this.windows.set(track.id, this.model.put(track, id, { window }));
  }

  over(line, track) {
    const held = this.windows.get(track.id)?.window;
    if (held?.id === line.window) this.window(track, { ...held, end: this.at(line.at_ns), outcome: line.reason });
  }

  on_revoke(line, track) {
    this.over(line, track);
  }

  on_close(line, track) {
    this.over(line, track);
  }

  on_begin(line, track) {
    const held = this.windows.get(track.id);
    const id = line.cause === "window" && held?.window.id === line.window ? held.id : ++this.serial;
    this.begun.set(track.id, this.show(track, id, { ...line, end_ns: null }));
  }

  on_end(line, track) {
    this.show(track, this.begun.get(track.id)?.id ?? ++this.serial, line);
    this.begun.delete(track.id);
    if (line.used !== undefined) this.model.addLevel(track, this.at(line.end_ns), line.used, track.budget);
  }

  show(track, id, line) {
    const window = this.model.records.get(id)?.window;
    const begin = this.at(line.begin_ns);
    return this.model.put(track, id, spans({
      begin, end: line.end_ns === null ? Infinity : this.at(line.end_ns), stop: line.stop_ns ? ms(line.stop_ns) : NaN,
      kind: line.kind, cause: line.cause, over: window?.over, reason: window?.reason, predicted: window?.predicted,
      wait: begin - window?.wanted, freed: line.freed,
    }));
  }

  on_leave(line, track) {
    this.finish(track, this.at(line.at_ns));
  }

  finish(track, at) {
    for (const record of [this.begun.get(track.id), this.windows.get(track.id)]) {
      if (!record) continue;
      const spans = {};
      for (const name of ["pause", "child", "window"]) {
        if (record[name]?.end === Infinity) spans[name] = { ...record[name], end: Math.max(at, record[name].begin) };
      }
      this.model.put(track, record.id, spans);
    }
    this.begun.delete(track.id);
    this.windows.delete(track.id);
  }
}

/** The model of an event log, in ms from its header on, and where it ends. */
export function fromEvents(header, lines) {
  const log = new Log(header);
  for (const line of lines) log.line(line);
  for (const track of log.model.tracks.values()) log.finish(track, log.last - log.zero);
  return { model: log.model, from: 0, until: log.last - log.zero };
}

/** The model of what ListPauses and ListServices said, in ms before now, and the first instant in it. */
export function fromPages(pages, services) {
  const model = new Model();
  const last = pages.at(-1)?.now_us ?? 0;
  let first = 0;
  for (const page of pages) {
    for (const entry of page.pauses) {
      const track = model.track(entry.heap, entry.heap_name, entry.service);
      const record = model.put(track, entry.id, fromPause(entry, (page.now_us - last) / 1000));
      const begin = (record.window ?? record.pause ?? record.child).begin;
      const end = (record.child ?? record.pause)?.end;
      track.unit = entry.unit;
      first = Math.min(first, begin);
      model.addLevel(track, begin, entry.used_before, entry.budget);
      if (entry.used !== null) model.addLevel(track, end, entry.used, entry.budget);
    }
  }
  for (const service of services) {
    const group = model.groups.get(service.name);
    if (group && ["stagger", "idle"].includes(service.policy)) group.limit = service.max_concurrent;
  }
  return { model, from: first, until: 0 };
}

const at = (us) => (us === null ? NaN : us / 1000);

/**
 * One entry of ListPauses, as spans for the model. now: the instant that its instants are relative to,
 * text: reason's key -> sentence.
 */
export function fromPause(entry, now) {
  const instant = (us) => now + at(us);
  const open = (us) => (us === null ? Infinity : instant(us));
  const found = {};
  if (entry.announced_us !== null) {
    found.window = {
      begin: instant(entry.announced_us), opens: entry.state === "announced" ? NaN : instant(entry.opens_us),
      end: entry.state === "running" ? Infinity : open(entry.over_us), closes: instant(entry.closes_us), kind: entry.kind,
      state: entry.state, reason: entry.reason,
      outcome: entry.outcome, over: entry.over_limit, predicted: at(entry.predicted_pause_us),
    };
  }
  if (entry.begin_us === null) return found;
  return Object.assign(found, spans({
    begin: instant(entry.begin_us), end: open(entry.end_us), stop: at(entry.stop_us), kind: entry.kind, cause: entry.cause,
    over: entry.over_limit, overrun: entry.overrun, reason: entry.reason, predicted: at(entry.predicted_pause_us),
    wait: entry.wanted_us === null ? NaN : at(entry.begin_us - entry.wanted_us), freed: entry.freed,
  }));
}
