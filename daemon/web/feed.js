// SPDX-License-Identifier: MIT
// What the page knows, kept up to date by the daemon's answers: those of its control socket, over
// HTTP. It asks for what has changed, in small pieces, so that the daemon is not kept from its work.
import { fromPause } from "./events.js";
import { Model } from "./model.js";

const KEEP = 15 * 60e3; // of what is past
const PAUSES_EVERY = 250;
const PAUSES_AT_FIRST = 600; // seconds
const STATE_EVERY = 1000;
const HEAPS_EVERY = 1000;
const HEAPS_A_PIECE = 25;
const PIECES_EVERY = 100; // ms: at most 250 heaps a second are asked for
const HIDDEN = 5000; // nobody looks
const PATIENCE = 10e3;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Feed {
  /** changed(what): "link", "state", "pauses" or "heaps". */
  constructor(changed) {
    this.model = new Model();
    this.changed = changed;
    this.services = [];
    this.status = null;
    this.heaps = new Map(); // by id, as ListHeaps tells them
    this.up = false;
    this.downSince = performance.now();
    this.restarted = null;
    this.epoch = null;
    this.offset = null; // the daemon's clock less ours
    this.forgetAll();
  }

  forgetAll() {
    this.model.clear();
    this.heaps.clear();
    this.changes = 0;
    this.levelled = new Map();
  }

  start() {
    this.loop(PAUSES_EVERY, () => this.takePauses());
    this.loop(STATE_EVERY, () => this.takeState());
    this.loop(HEAPS_EVERY, () => this.takeHeaps());
  }

  async loop(every, take) {
    for (;;) {
      try {
        await take();
        this.setUp(true);
      } catch {
        this.setUp(false);
      }
      await wait(document.hidden ? HIDDEN : this.up ? every : Math.max(every, 500));
    }
  }

  setUp(up) {
    if (this.up === up) return;
    this.up = up;
    if (!up) this.downSince = performance.now();
    this.changed("link");
  }

  async ask(method, parameters = {}) {
    const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null));
    const answer = await fetch(`/api/${method}?${query}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 429) { // every page and scraper of this host together
      await wait(1000);
      return this.ask(method, parameters);
    }
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    return told.parameters;
  }

  /** The daemon's clock, in ms, from what it said in an answer that was asked for at `sent`. */
  setClock(now, sent) {
    const received = performance.now();
    const offset = now - (sent + received) / 2;
    if (this.offset === null || Math.abs(offset - this.offset) > 1000) this.offset = offset;
    else this.offset += 0.1 * (offset - this.offset);
  }

  now() {
    return this.offset === null ? null : performance.now() + this.offset;
  }

  // ---- pauses and windows

  async takePauses() {
    let first = null;
    let after = null;
    do {
      const sent = performance.now();
      const told = await this.ask("ListPauses", {
        changed_after: this.changes || null, seconds: this.changes ? null : PAUSES_AT_FIRST, after,
      });
      if (this.epoch !== null && told.epoch !== this.epoch) {
        this.epoch = told.epoch;
        this.restarted = performance.now();
        this.forgetAll();
        this.changed("link");
        return;
      }
      this.epoch = told.epoch;
      const now = told.now_us / 1000;
      this.setClock(now, sent);
      first ??= told.changes;
      for (const entry of told.pauses) this.takePause(entry, now);
      if (told.pauses.length) this.changed("pauses");
      after = told.next;
    } while (after !== null);
    this.changes = first;
    this.model.forget(this.now() - KEEP);
    this.forgetLevelled();
  }

  takePause(entry, now) {
    const track = this.model.track(entry.heap, entry.heap_name, entry.service);
    const record = this.model.put(track, entry.id, fromPause(entry, now));
    track.unit = entry.unit;
    const state = this.levelled.get(entry.id) ?? 0;
    const begin = (record.window ?? record.pause ?? record.child)?.begin;
    if (state < 1 && Number.isFinite(begin)) this.model.addLevel(track, begin, entry.used_before, entry.budget);
    const end = (record.child ?? record.pause)?.end;
    if (entry.used === null || !Number.isFinite(end)) {
      this.levelled.set(entry.id, 1);
      return;
    }
    if (state < 2) this.model.addLevel(track, end, entry.used, entry.budget);
    this.levelled.set(entry.id, 2);
  }

  forgetLevelled() {
    for (const id of this.levelled.keys()) {
      if (!this.model.records.has(id)) this.levelled.delete(id);
    }
  }

  // ---- the daemon, services, heaps

  async takeState() {
    this.status = await this.ask("GetStatus");
    const services = [];
    let after = null;
    do {
      const told = await this.ask("ListServices", { after });
      services.push(...told.services);
      after = told.next;
    } while (after !== null);
    this.services = services;
    for (const service of services) {
      const group = this.model.groups.get(service.name);
      if (!group) continue;
      group.limit = service.policy === "stagger" || service.policy === "idle" ? service.max_concurrent : null;
    }
    this.changed("state");
  }

  async takeHeaps() {
    const seen = new Set();
    let after = null;
    if (this.offset === null) return;
    do {
      const epoch = this.epoch;
      const told = await this.ask("ListHeaps", { after, limit: HEAPS_A_PIECE });
      if (epoch !== this.epoch) return;
      for (const heap of told.heaps) {
        seen.add(heap.id);
        this.takeHeap(heap);
      }
      after = told.next;
      this.changed("heaps");
      if (after !== null) await wait(PIECES_EVERY);
    } while (after !== null);
    for (const track of this.model.tracks.values()) track.gone = !seen.has(track.id);
    for (const id of this.heaps.keys()) {
      if (!seen.has(id)) this.heaps.delete(id);
    }
  }

  takeHeap(heap) {
    const track = this.model.track(heap.id, heap.name, heap.service);
    const now = this.now();
    const last = track.levels.at(-1);
    track.unit = heap.unit;
    track.gone = false;
    this.heaps.set(heap.id, heap);
    if (!last || now - last.begin > 200) this.model.addLevel(track, now, heap.used, heap.budget);
  }

  /** Why; and the heap's figures, which are new then. */
  async explain(id) {
    const told = await this.ask("Explain", { heap: id });
    this.takeHeap(told.heap);
    return told;
  }
}
