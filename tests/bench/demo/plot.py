# SPDX-License-Identifier: MIT
"""The picture: every pause of every replica, and every request's latency, before and after."""

import os
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())

import matplotlib  # noqa: E402

import check_pauses  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

INK, FAINT, GRID = "#1f2933", "#66788a", "#e4e9ee"
BAD, GOOD = "#d1495b", "#2a7f9e"


def _round(value):
    """Two digits that matter, without an exponent."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _pauses(axes, measured, colour, end_s):
    begin_ns = measured.load["begin_ns"]
    names = sorted(measured.names.values())
    for pause in measured.pauses:
        lane = names.index(measured.names[pause.pid])
        left = (pause.begin_ns - begin_ns) / 1e9
        width = (pause.end_ns - pause.begin_ns) / 1e9
        axes.barh(lane, width, left=left, height=0.62, color=colour, linewidth=0)
    axes.set_yticks(range(len(names)), [f"replica {name.lstrip('s')}" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, end_s)
    axes.tick_params(axis="x", labelbottom=False)


def _latency(axes, measured, colour, end_s, limits):
    begin_ns = measured.load["begin_ns"]
    good = [(row[0], row[1]) for row in measured.requests if row[2] == 200]
    axes.scatter([(at - begin_ns) / 1e9 for at, _ in good], [ns / 1e6 for _, ns in good],
                 s=3, color=colour, alpha=0.45, linewidths=0, rasterized=True)
    failed = [(row[0], row[1]) for row in measured.requests if row[2] != 200]
    if failed:
        axes.scatter([(at - begin_ns) / 1e9 for at, _ in failed], [ns / 1e6 for _, ns in failed],
                     s=18, color="black", marker="x", label="failed")
        axes.legend(loc="upper right", frameon=False)
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda ms, _: f"{ms:g} ms"))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.axhline(measured.figures["p999_ms"], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(f"p99.9 = {_round(measured.figures['p999_ms'])} ms",
                  (end_s, measured.figures["p999_ms"]), xytext=(-4, 4),
                  textcoords="offset points", ha="right", va="bottom", color=INK, fontsize=9,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
    axes.set_xlim(0, end_s)


def _title(axes, name, measured):
    figures = measured.figures
    axes.set_title(name, loc="left", fontsize=12, fontweight="bold", color=INK, pad=8)
    full = len(check_pauses.full(measured.pauses))
    said = "no full collection"
    if full:
        said = (f"{full} full collections, longest {_round(figures['longest_pause_ms'])} ms, "
                f"at most {figures['paused_max']} at once")
    axes.set_title(said, loc="right", fontsize=9.5, color=FAINT, pad=8)


HALVES = (("CPython's own policy", BAD), ("Under rtgcd", GOOD))


def _draw(halves, scales, height, path):
    """Each half: title, colour, Measured. scales: of time and of latency, (end_s, limits)."""
    plt.rcParams.update({"font.size": 9.5, "axes.edgecolor": FAINT, "axes.labelcolor": FAINT,
                         "xtick.color": FAINT, "ytick.color": INK, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(2 * len(halves), 1, figsize=(13, height), sharex=True,
                                gridspec_kw={"height_ratios": [1, 2] * len(halves), "hspace": 0.12})
    end_s, limits = scales
    for top, (name, colour, measured) in enumerate(halves):
        _pauses(axes[2 * top], measured, colour, end_s)
        _latency(axes[2 * top + 1], measured, colour, end_s, limits)
        _title(axes[2 * top], name, measured)
        axes[2 * top + 1].set_ylabel("latency of each request")
    for one in axes:
        one.grid(axis="x", color=GRID, linewidth=0.8)
        one.set_axisbelow(True)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    for one in axes[1::2]:
        one.grid(axis="y", color=GRID, linewidth=0.8)
    axes[-1].set_xlabel("seconds of measured load")
    axes[-1].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    # Space between the two halves.
    for one in axes[2:]:
        box = one.get_position()
        one.set_position([box.x0, box.y0 - 0.045, box.width, box.height])
    measured = halves[0][2]
    figure.suptitle(
        f"Full collections of {len(measured.names)} replicas, and what their clients see "
        f"({measured.load['rate']:.0f} requests/s, latency from the intended send time)",
        fontsize=13, color=INK, y=0.965 if len(halves) > 1 else 1.03)
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def timeline(before, after, path, before_path=None, after_path=None):
    """`before` and `after` are Measured: both in one picture, and each in one of its own where a path is
    given. The time scales and the latency scales are the same in all of them."""
    latencies = [row[1] / 1e6 for one in (before, after) for row in one.requests]
    scales = (max(before.load["seconds"], after.load["seconds"]),
              (min(latencies) * 0.8, max(latencies) * 1.6))
    halves = [(*half, measured) for half, measured in zip(HALVES, (before, after))]
    _draw(halves, scales, 9, path)
    for half, alone in zip(halves, (before_path, after_path)):
        if alone:
            _draw([half], scales, 4.6, alone)
