# SPDX-License-Identifier: MIT
"""The picture: the pauses of every rank, and how long each step took, before and after."""

import os
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

INK, FAINT, GRID = "#1f2933", "#66788a", "#e4e9ee"
BAD, GOOD = "#d1495b", "#2a7f9e"


def _pauses(axes, measured, colour):
    for pause in measured.pauses:
        left = (pause.begin_ns - measured.released[0]) / 1e9
        axes.barh(measured.ranks[pause.pid], (pause.end_ns - pause.begin_ns) / 1e9, left=left, height=0.62,
                  color=colour, linewidth=0)
    axes.set_yticks(range(len(measured.ranks)), [f"rank {rank}" for rank in measured.ranks.values()])
    axes.set_ylim(len(measured.ranks) - 0.4, -0.6)


def _steps(axes, measured, colour):
    ends = measured.released
    at = [(end - ends[0]) / 1e9 for end in ends[1:]]
    took = [(end - begin) / 1e6 for begin, end in zip(ends, ends[1:])]
    axes.vlines(at, 0, took, color=colour, linewidth=0.8)
    axes.set_ylabel("ms a step")


def draw(before, after, path):
    """`before` and `after` are Measured; both halves have the same scales."""
    plt.rcParams.update({"font.size": 9.5, "axes.edgecolor": FAINT, "axes.labelcolor": FAINT,
                         "xtick.color": FAINT, "ytick.color": INK, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(4, 1, figsize=(13, 8), sharex=True, layout="constrained",
                                gridspec_kw={"height_ratios": [1, 1.6, 1, 1.6]})
    for top, (name, measured, colour) in enumerate((
            ("CPython's own policy", before, BAD), ("Policy=together", after, GOOD))):
        _pauses(axes[2 * top], measured, colour)
        _steps(axes[2 * top + 1], measured, colour)
        figures = measured.figures
        axes[2 * top].set_title(name, loc="left", fontsize=12, fontweight="bold", color=INK)
        axes[2 * top].set_title(
            f"{figures['collections']} full collections hit {figures['hit']} of {figures['steps']} steps; "
            f"{figures['total_s']:.1f} s in all", loc="right", fontsize=9.5, color=FAINT)
    most = max(figures["step_max_ms"] for figures in (before.figures, after.figures))
    for one in axes[1::2]:
        one.set_ylim(0, most * 1.05)
    axes[3].set_xlim(0, max(one.figures["total_s"] for one in (before, after)))
    axes[3].set_xlabel("seconds")
    for one in axes:
        one.grid(axis="x", color=GRID, linewidth=0.8)
        one.set_axisbelow(True)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
