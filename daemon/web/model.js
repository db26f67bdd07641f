// SPDX-License-Identifier: MIT
// What a timeline shows: the pauses, windows and levels of heaps, by service. Instants and spans
// are milliseconds; an instant counts from wherever the one who fills it in counts.

const byName = new Intl.Collator("en", { numeric: true }).compare;

/** Index of the first of `list`, sorted by `key`, for which key(item) >= value. */
export function lowerBound(list, value, key) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const endOf = (span) => span.end;
const beginOf = (span) => span.begin;

function insert(list, item) {
  const last = list.length - 1;
  if (last < 0 || list[last].begin <= item.begin) list.push(item);
  else list.splice(lowerBound(list, item.begin, beginOf), 0, item);
}

/** What a pause is drawn and told as; the first that holds. */
export function sortOf(pause) {
  if (pause.cause === "forced") return "forced";
  if (pause.over) return "over";
  if (pause.cause === "uncoordinated") return "uncoordinated";
  return pause.kind === "snapshot" ? "snapshot" : "window";
}

function remove(list, item) {
  const at = item ? list.indexOf(item) : -1;
  if (at >= 0) list.splice(at, 1);
}

/**
 * One heap. Its pauses do not overlap, nor do its windows: each list is sorted by end as well.
 * begin, end of a window: from its announcement until it was over; Infinity: not yet.
 */
class Track {
  constructor(id, name, service) {
    this.id = id;
    this.name = name;
    this.service = service;
    this.pauses = []; // begin, end, kind, cause, over, …
    this.windows = []; // begin, opens, end, …
    this.children = []; // of snapshots: begin, end
    this.levels = []; // begin, used, budget
    this.unit = "bytes";
    this.gone = false;
  }
}

/** A service. `steps`: how many of its heaps paused at once, from `begin` on. */
class Group {
  constructor(name) {
    this.name = name;
    this.tracks = [];
    this.limit = null;
    this.policy = "";
    this.dirty = true;
    this.cached = [];
  }

  steps() {
    if (!this.dirty) return this.cached;
    const edges = [];
    for (const track of this.tracks) {
      for (const pause of track.pauses) {
        edges.push([pause.begin, 1]);
        if (pause.end !== Infinity) edges.push([pause.end, -1]);
      }
    }
    // At one instant, an end comes before a beginning: such pauses do not overlap.
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let level = 0;
    this.cached = edges.map(([begin, change]) => ({ begin, level: (level += change) }));
    this.dirty = false;
    return this.cached;
  }
}

export class Model {
  constructor() {
    this.clear();
    this.version = 0; // grows with every change
  }

  clear() {
    this.tracks = new Map();
    this.groups = new Map();
    this.records = new Map();
    this.version++;
    this.layout = (this.layout ?? 0) + 1; // grows when rows come and go
  }

  track(id, name, service) {
    let track = this.tracks.get(id);
    if (track) return track;
    track = new Track(id, name, service);
    this.tracks.set(id, track);
    const group = this.group(service);
    group.tracks.push(track);
    group.tracks.sort((a, b) => byName(a.name, b.name) || a.id - b.id);
    this.version++;
    this.layout++;
    return track;
  }

  group(service) {
    let group = this.groups.get(service);
    if (!group) {
      group = new Group(service);
      this.groups.set(service, group);
    }
    return group;
  }

  sortedGroups() {
    return [...this.groups.values()].sort((a, b) => byName(a.name, b.name));
  }

  /**
   * What is known of one collection and its window, and again when more is known: those of `window`,
   * `pause`, `child` that there are, as in Track. Returns all that is known under that id.
   */
  put(track, id, spans) {
    const record = this.records.get(id) ?? { id };
    for (const [name, list] of [["window", track.windows], ["pause", track.pauses], ["child", track.children]]) {
      if (!spans[name]) continue;
      remove(list, record[name]);
      record[name] = spans[name];
      insert(list, record[name]);
    }
    this.records.set(id, record);
    this.changed(track);
    return record;
  }

  addLevel(track, begin, used, budget) {
    insert(track.levels, { begin, used, budget });
    this.version++;
  }

  changed(track) {
    this.group(track.service).dirty = true;
    this.version++;
  }

  /** Drops what ended before that instant, and heaps that are gone and have nothing left to show. */
  forget(before) {
    for (const [id, track] of this.tracks) {
      const pauses = lowerBound(track.pauses, before, endOf);
      track.pauses.splice(0, pauses);
      track.windows.splice(0, lowerBound(track.windows, before, endOf));
      track.children.splice(0, lowerBound(track.children, before, endOf));
      // One level from before says where the curve comes in from.
      track.levels.splice(0, Math.max(0, lowerBound(track.levels, before, beginOf) - 1));
      if (pauses) this.changed(track);
      if (track.gone && !track.pauses.length && !track.windows.length) this.drop(id);
    }
    for (const [id, { window, pause, child }] of this.records) {
      if (Math.max(window?.end ?? 0, pause?.end ?? 0, child?.end ?? 0) < before) this.records.delete(id);
    }
  }

  drop(id) {
    const track = this.tracks.get(id);
    const group = this.group(track.service);
    this.tracks.delete(id);
    remove(group.tracks, track);
    if (!group.tracks.length) this.groups.delete(group.name);
    group.dirty = true;
    this.version++;
    this.layout++;
  }

  /** [from, to) of all that is known; null: there is nothing. */
  extent() {
    let from = Infinity;
    let to = -Infinity;
    for (const track of this.tracks.values()) {
      for (const list of [track.pauses, track.windows, track.children, track.levels]) {
        if (!list.length) continue;
        const last = list[list.length - 1];
        from = Math.min(from, list[0].begin);
        to = Math.max(to, Number.isFinite(last.end) ? last.end : last.begin);
      }
    }
    return from <= to ? { from, to } : null;
  }
}

/** The pauses of `list` that touch [from, to). */
export function touching(list, from, to) {
  const first = lowerBound(list, from, endOf);
  const last = lowerBound(list, to, beginOf);
  return list.slice(first, last);
}

/** Figures of all pauses that touch [from, to): what a summary says. */
export function figures(model, from = -Infinity, to = Infinity) {
  const found = { pauses: 0, longest: 0, total: 0, most: 0, forced: 0, over: 0, uncoordinated: 0, windows: 0 };
  for (const group of model.groups.values()) {
    for (const track of group.tracks) {
      for (const pause of touching(track.pauses, from, to)) {
        const span = pause.end - pause.begin;
        found.pauses++;
        if (Number.isFinite(span)) {
          found.longest = Math.max(found.longest, span);
          found.total += span;
        }
        found.forced += pause.cause === "forced";
        found.uncoordinated += pause.cause === "uncoordinated";
        found.over += Boolean(pause.over);
      }
      found.windows += touching(track.windows, from, to).length;
    }
    for (const step of group.steps()) {
      if (step.begin >= from && step.begin < to) found.most = Math.max(found.most, step.level);
    }
  }
  return found;
}
