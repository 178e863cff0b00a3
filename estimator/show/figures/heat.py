"""A number at every combination of two inputs, as colours, with a line at a limit."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from estimator.ground.words import short
from estimator.show.charts.palette import GUIDE, LADDER, LIMIT
from estimator.show.figures.frame import INK, add_legend, framed
from estimator.show.findings.base import Heat

ROW_INCHES, LEAST_INCHES, MOST_INCHES = 0.32, 2.6, 9.0
MOST_WRITTEN = 14
"""Columns up to which each cell has its number."""
BRIGHT = 0.55
"""Share of the colours above which letters are dark."""


def draw(made: Heat, footer: str) -> Figure:
    """Return the figure of a map; combinations that do not work are crosses."""
    inches = 0.7 + ROW_INCHES * len(made.y_names)
    inches = min(max(inches, LEAST_INCHES), MOST_INCHES)
    num_entries = bool(made.gaps) + made.is_crossed
    figure = framed(made.finding, footer, inches, num_entries)
    axes = figure.add_subplot()
    values = np.array(made.cells, dtype=float)
    shown = axes.pcolormesh(values, cmap=LADDER, edgecolors="white", linewidth=0.6)
    figure.colorbar(shown, ax=axes, label=made.z_axis, pad=0.01)
    middle = np.arange(max(values.shape)) + 0.5
    if made.limit and made.is_crossed:
        _draw_line(axes, made.limit, values, middle)
    if made.gaps:
        x, y = np.array(made.gaps, dtype=float).T + 0.5
        axes.plot(x, y, "x", color=GUIDE, label="does not work")
    if len(made.x_names) <= MOST_WRITTEN:
        _write(axes, values)
    axes.set_xticks(middle[: len(made.x_names)], made.x_names)
    axes.set_yticks(middle[: len(made.y_names)], made.y_names)
    axes.tick_params(length=0)
    axes.set_xlabel(made.x_axis)
    axes.set_ylabel(made.y_axis)
    if num_entries:
        add_legend(figure, made.finding)
    return figure


def _draw_line(
    axes: Axes, limit: tuple[str, float], values: np.ndarray, middle: np.ndarray
) -> None:
    name, level = limit
    height, width = values.shape
    if min(height, width) > 1:  # a contour needs two rows and two columns
        drawn = axes.contour(
            middle[:width], middle[:height], values, [level], colors=LIMIT
        )
        drawn.set_linewidth(2.2)
        drawn.set_path_effects([withStroke(linewidth=4.5, foreground="white")])
    axes.add_line(Line2D([], [], color=LIMIT, linewidth=2.2, label=name))


def _write(axes: Axes, values: np.ndarray) -> None:
    low, high = np.nanmin(values), np.nanmax(values)
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            is_bright = value > low + BRIGHT * (high - low)
            shade = INK if is_bright else "white"
            words = short(float(value))
            axes.text(
                x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=7.5,
                color=shade,
            )  # fmt: skip
