# SPDX-License-Identifier: MIT
"""What this process's own figures say about its collector's settings."""

import gc

from . import _memory, _rtgc, _sites, _summary

MANY = 100_000  # objects that a full collection takes some milliseconds for
OFTEN = 50  # collections of the youngest generation a second
CHURN_SHARE = 0.2  # of the newest objects
KEPT_SHARE = 0.5  # of what was made of a type is still there: no churn


def _ms(us):
    return f"{us / 1000:.1f} ms"


def _full_collections(status, stats, out):
    full = status["generations"][2] if "generations" in status else {"collections": 0}
    if not full["collections"]:
        return
    text = (
        f"{full['collections']} full collections took {_ms(full['pause_total_us'])}, the longest "
        f"{_ms(full['pause_max_us'])}"
    )
    if full["pause_max_us"] < 5000:
        out.append(text + ": hardly worth anybody's while.")
    elif status["state"] == "unsupervised":
        out.append(text + ": rtgc.supervise() moves them to where nobody waits.")
    elif status.get("uncoordinated"):
        out.append(
            f"{text}; {status['uncoordinated']} of them were run by the program itself or a library "
            "(gc.collect()), where no window was open: take the calls out."
        )
    else:
        out.append(text + ".")


def _freeze(objects, frozen, stats, out):
    """When most of the heap is old and full collections find next to nothing."""
    full = stats[2]
    if objects - frozen < MANY:
        return
    found = full["collected"] / full["collections"] if full["collections"] else None
    if found is None:
        out.append(
            f"{objects - frozen:,} tracked objects live here, and no full collection has run yet. "
            "If most of them stay for good, rtgc.freeze_after(30) keeps collections from "
            "walking them."
        )
    elif found < 0.01 * (objects - frozen):
        out.append(
            f"{objects - frozen:,} tracked objects live here, and a full collection finds "
            f"{found:,.0f} dead on average, less than 1 %: freeze them after the start, "
            "rtgc.freeze_after(30). Should the heap hardly grow afterwards, that alone is enough."
        )


def _thresholds(status, sites, samples, seconds, out):
    threshold = gc.get_threshold()[0]
    per_s = samples / seconds
    if threshold and per_s > OFTEN:
        better = min(50_000, max(2 * threshold, int(threshold * per_s / 10)))
        out.append(
            f"The youngest generation is collected {per_s:.0f} times a second, every {threshold:,} "
            f"objects: gc.set_threshold({better}) makes that {threshold * per_s / better:.0f}, at the price of "
            f"up to {better:,} objects that wait to be freed."
        )


def _pooling(before, after, sites, samples, threshold, out):
    """Types that are made in great numbers and do not stay."""
    made = {}
    for site in sites:
        for name, share in site.types.items():
            made.setdefault(name, []).append((site.share * share, site))
    kept = {t.name: t.count for t in after.types}
    was = {t.name: t.count for t in before.types}
    for name, found in sorted(made.items(), key=lambda item: -sum(s for s, _ in item[1])):
        share = sum(s for s, _ in found)
        count = share * samples * threshold
        if share < CHURN_SHARE or kept.get(name, 0) - was.get(name, 0) > KEPT_SHARE * count:
            continue
        site = max(found, key=lambda item: item[0])[1]
        out.append(
            f"{share:.0%} of what was made meanwhile is {name}, and it did not stay: most of it by "
            f"{site.function}() at {site.filename}:{site.lineno}. rtgc.Pool() reuses such objects."
        )


def _pools(status, out):
    for pool in status["pools"]:
        total = pool["made"] + pool["reused"]
        if total >= 1000 and pool["dropped"] > total / 10:
            out.append(
                f"Pool {pool['name']!r} has dropped {pool['dropped']:,} of {total:,} objects: up to "
                f"{pool['high_water']:,} were in use at once, max is {pool['max']:,}."
            )


def _memory_limit(status, out):
    limit, source = _memory.limit()
    rss = status["rss_bytes"]
    if source == "cgroup" and rss > 0.8 * limit:
        out.append(
            f"{rss >> 20:,} MiB are resident, {rss / limit:.0%} of what the control group allows "
            f"({limit >> 20:,} MiB): rtgc.supervise(budget=\"80%\") collects before that."
        )


def advise(seconds=1, during=None):
    """What the figures of this process say about thresholds, freezing and pooling: a list of
    sentences, empty when there is nothing to say.

    Looks at the heap, watches the other threads for so many seconds, or runs `during()` and
    watches that, and looks again: two pauses, as of rtgc.heap_summary(). Pauses are known
    since rtgc.supervise(); everything else without it, too.
    """
    import time

    out = []
    if not gc.isenabled():
        out.append(
            "The collector is switched off (gc.disable()): cycles are never freed. "
            "rtgc.supervise() keeps its pauses out of the way instead."
        )
    before = _summary.heap_summary(None)
    begin = time.monotonic()
    samples, sites = _sites.sample(seconds, during)
    elapsed = max(time.monotonic() - begin, 1e-3)
    after = _summary.heap_summary(None)
    status, stats = _rtgc.status(), gc.get_stats()
    _full_collections(status, stats, out)
    _freeze(after.objects, gc.get_freeze_count(), stats, out)
    _thresholds(status, sites, samples, elapsed, out)
    if samples >= 10:
        _pooling(before, after, sites, samples, gc.get_threshold()[0], out)
    _pools(status, out)
    _memory_limit(status, out)
    if status.get("put_right"):
        out.append(
            f"Somebody has called gc.set_threshold() {status['put_right']} times; the third "
            "threshold was put right each time."
        )
    return out
