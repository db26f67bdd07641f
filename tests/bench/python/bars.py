# SPDX-License-Identifier: MIT
"""The pictures of the parts: bars of the runs, and the goal as a line."""

import os
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

INK, FAINT, GRID = "#1f2933", "#66788a", "#e4e9ee"
BAD, GOOD = "#d1495b", "#2a7f9e"


def _bars(axes, title, unit, values, goal, most):
    """values: label -> figure. most: the goal is the most that is good, else the least; None: there is no goal."""
    labels, heights = list(values), list(values.values())
    missed = [goal is not None and (value > goal if most else value < goal) for value in heights]
    axes.barh(range(len(labels)), heights, height=0.6, linewidth=0,
              color=[BAD if bad else GOOD for bad in missed])
    for lane, value in enumerate(heights):
        axes.annotate(f"{value:.4g}", (value, lane), xytext=(4, 0), textcoords="offset points", va="center",
                      color=INK, fontsize=9)
    if goal is not None:
        axes.axvline(goal, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(f"goal: at {'most' if most else 'least'} {goal:g}", (goal, len(labels) - 0.45),
                      xytext=(4, 0), textcoords="offset points", color=FAINT, fontsize=8.5, va="center")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.2, -0.6)
    axes.set_xlim(0, 1.18 * max([*heights, goal or 0, 1e-9]))
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel(unit)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(path, *parts):
    """parts: (title, unit, values, goal or None, whether the goal is the most)."""
    plt.rcParams.update({"font.size": 9.5, "axes.edgecolor": FAINT, "axes.labelcolor": FAINT,
                         "xtick.color": FAINT, "ytick.color": INK, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(len(parts), 1, figsize=(9, 2.6 * len(parts)), layout="constrained", squeeze=False)
    for one, part in zip(axes[:, 0], parts):
        _bars(one, *part)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
