"""What each changed input adds, as a waterfall that ends at the difference."""

from __future__ import annotations

import textwrap

import plotly.graph_objects as go

from estimator.show.charts.base import framed
from estimator.show.charts.palette import GUIDE, colour
from estimator.show.findings.base import Bars

LETTERS = 22
"""Of an input's name on one line, so that a narrow screen has room for the bars."""
LEAST, ROW, LINE = 120, 22, 16
"""Pixels of the frame, of a row, and of each line of its name."""
ROOM = 0.42
"""Share of the bars' extent that is left open beside them for their words."""


def drawn(made: Bars) -> go.Figure:
    """Return the figure of a waterfall, the whole difference at the bottom."""
    names = [_broken(name) for name in made.names]
    lines = sum(name.count("<br>") + 1 for name in names)
    height = LEAST + ROW * len(names) + LINE * lines
    figure = framed(
        made.finding, made.axis, made.along, height, barmode="overlay", bargap=0.35
    )
    ends = [0.0]
    for series in made.series:
        figure.add_bar(
            orientation="h",
            name=series.name,
            x=series.values,
            base=series.starts,
            y=names,
            text=series.labels,
            textposition="outside",
            cliponaxis=False,
            marker_color=colour(series.name),
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
        pairs = zip(series.starts, series.values, strict=True)
        ends += [end for start, size in pairs for end in (start, start + size)]
    low, high = min(ends), max(ends)
    room = ROOM * (high - low or 1.0)
    figure.update_xaxes(range=[low - room * (low < 0), high + room], nticks=5)
    figure.update_yaxes(type="category")
    figure.add_vline(0, line={"width": 1, "color": GUIDE})
    return figure


def _broken(name: str) -> str:
    """Return an input's name in short lines: its path, then what changed."""
    path, _, change = name.partition(": ")
    parts = [path + ":" * bool(change), *change.split(" -> ")]
    parts[2:] = [f"-> {part}" for part in parts[2:]]
    lines = (textwrap.wrap(part, LETTERS) for part in parts if part)
    return "<br>".join(line for each in lines for line in each)
