"""Points on two axes, scattered or joined, beside lines that lead the eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from estimator.show.charts.base import framed
from estimator.show.charts.palette import GUIDE, LIMIT, group
from estimator.show.findings.base import Curve, Guide, Plot

MARKS = ("circle", "square", "triangle-up", "diamond", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT, ENTRY = 470, 7
"""Pixels of a plot, and what an entry of its legend adds."""
MANY, ENTRY_WIDTH = 8, 76
"""Entries from which on the legend has columns of so many pixels: three on a phone."""
LONG = 100
"""Highest over lowest value from which on a logarithmic axis shows powers of ten."""
EDGE = "#5d656d"


def drawn(made: Plot) -> go.Figure:
    """Return the figure of points; the legend stands below."""
    height = HEIGHT + ENTRY * len(made.curves)
    figure = framed(made.finding, made.x_axis, made.y_axis, height)
    for curve in made.curves:
        figure.add_scatter(**_points(curve))
    for guide in made.guides:
        figure.add_scatter(**_line(guide))
    if made.is_log:
        ends = [value for line in made.guides for value in (*line.x, *line.y)]
        points = [value for curve in made.curves for value in (*curve.x, *curve.y)]
        marks = ticks([*ends, *points])
        figure.update_xaxes(type="log", tickvals=marks, tickformat="~g")
        figure.update_yaxes(type="log", tickvals=marks, tickformat="~g")
    if any(curve.has_words for curve in made.curves):
        figure.update_xaxes(rangemode="tozero")  # room for the words
    legend: dict[str, Any] = {"y": -0.16, "yanchor": "top", "itemwidth": 30}
    if len(made.curves) > MANY:
        legend["entrywidth"] = ENTRY_WIDTH
    figure.update_layout(hovermode="closest", legend=legend)
    return figure


def ticks(values: Sequence[float]) -> list[float]:
    """Return whole numbers of a logarithmic axis: powers of ten where it is long.

    >>> ticks([0.3, 400])
    [0.1, 1.0, 10.0, 100.0, 1000.0]
    >>> ticks([3, 10])
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    low, high = min(values), max(values)
    steps = (1,) if high > LONG * low else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{step}e{power}") for power in powers for step in steps]


def _line(guide: Guide) -> dict[str, object]:
    shade, dash = (LIMIT, "dash") if guide.is_limit else (GUIDE, "dot")
    return {
        "name": guide.name,
        "x": guide.x,
        "y": guide.y,
        "mode": "lines",
        "line": {"color": shade, "width": 1.5, "dash": dash},
        "showlegend": bool(guide.name),
        "hoverinfo": "skip",
    }


def _points(curve: Curve) -> dict[str, object]:
    shade, turn = group(curve.place)
    mode = "lines+markers" if curve.is_joined else "markers"
    name = curve.name
    return {
        "name": name,
        "x": curve.x,
        "y": curve.y,
        "mode": f"{mode}+text" if curve.has_words else mode,
        "text": curve.labels,
        "textposition": "bottom left",  # of a front: no plan is better
        "cliponaxis": not curve.has_words,
        "marker": {
            "color": shade,
            "symbol": MARKS[(curve.place if curve.is_joined else turn) % len(MARKS)],
            "size": 8,
            "line": {"width": 0.5, "color": EDGE},
        },
        "line": {"color": shade, "dash": DASHES[curve.place % len(DASHES)]},
        "hovertemplate": f"{name}<br>%{{text}}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>"
        if curve.labels
        else f"{name}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>",
    }
