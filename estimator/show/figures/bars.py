"""Bars over names: stacked, side by side, or a waterfall."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from estimator.ground.words import short
from estimator.show.charts.palette import GUIDE, LIMIT, colour
from estimator.show.figures.frame import add_legend, framed
from estimator.show.findings.base import Bars, Series

THICK = 0.72
ROOM = 1.14
"""The axis reaches so many times as far as its longest bar."""


def draw(made: Bars, footer: str) -> Figure:
    """Return the figure of bars."""
    height = 0.5 + 0.3 * max(len(made.names), 3) if made.is_horizontal else 3.8
    entries = len(made.series) + bool(made.limit)
    has_legend = not made.is_coloured_by_name
    figure = framed(made.finding, footer, height, entries if has_legend else 0)
    axes = figure.add_subplot()
    reached = [0.0] * len(made.names)
    for series in made.series:
        starts = series.starts or tuple(reached)
        _add(axes, made, series, starts)
        reached = [
            max(before, start + value)
            for before, start, value in zip(reached, starts, series.values, strict=True)
        ]
    _finish(axes, made, max(reached, default=1.0))
    if has_legend:
        add_legend(figure, made.finding)
    return figure


def _add(axes: Axes, made: Bars, series: Series, starts: tuple[float, ...]) -> None:
    """Draw a series; its words stand behind the bars."""
    shades = (
        [colour(name) for name in made.names]
        if made.is_coloured_by_name
        else colour(series.name)
    )
    places = range(len(made.names))
    if made.is_horizontal:
        drawn = axes.barh(places, series.values, THICK, starts, color=shades)
    else:
        drawn = axes.bar(places, series.values, THICK, starts, color=shades)
    drawn.set_label("" if made.is_coloured_by_name else series.name)
    for patch in drawn:
        patch.set_edgecolor("white")
        patch.set_linewidth(0.6)
    if series.labels:
        axes.bar_label(drawn, series.labels, padding=3, fontsize=8.5)


def _finish(axes: Axes, made: Bars, longest: float) -> None:
    """Name the axes, set their ends, and draw the limit."""
    axis = axes.xaxis if made.is_horizontal else axes.yaxis
    names = axes.yaxis if made.is_horizontal else axes.xaxis
    names.set_ticks(range(len(made.names)), made.names)
    names.set_label_text(made.along)
    axis.set_label_text("; ".join(filter(None, (made.axis, made.note))))
    axis.grid(visible=True, color="#e3e6e8", linewidth=0.7)
    axes.set_axisbelow(True)
    names.set_tick_params(length=0)
    if made.limit:
        name, height = made.limit
        longest = max(longest, height)
        axes.axhline(height, color=LIMIT, linestyle="--", linewidth=1.6, label=name)
    axis.set_major_formatter(lambda value, _: short(value))
    ends = [end for series in made.series for end in _ends(series)]
    if min(ends, default=0.0) < 0:
        room = (ROOM - 1) * (max(ends) - min(ends))
        axes.axvline(0, color=GUIDE, linewidth=1)
        axes.set_xlim(min(ends) - room, max(ends) + room)
    elif made.is_horizontal:
        axes.set_xlim(0, ROOM * longest)
    else:
        axes.set_ylim(0, ROOM * longest)


def _ends(series: Series) -> list[float]:
    """Return where the bars of a series begin and end."""
    starts = series.starts or (0.0,) * len(series.values)
    rows = zip(starts, series.values, strict=True)
    return [end for start, value in rows for end in (start, start + value)]
