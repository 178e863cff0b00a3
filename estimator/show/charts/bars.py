"""Bars over names or ranks: causes, layers, ends of constants, parts of memory."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, framed
from estimator.show.charts.palette import GUIDE, LIMIT, colour
from estimator.show.findings import breakdown as spent
from estimator.show.findings import memory as held
from estimator.show.findings import ranks as shares
from estimator.show.findings import sensitivity as moved
from estimator.show.findings.base import Answered, Bars
from estimator.show.wording import LAYER_ADDS


@chart("breakdown")
def breakdown(answer: Answered) -> go.Figure:
    """Draw one bar per cause, the longest on top; they add up to the step."""
    made = spent.breakdown(answer)
    (series,) = made.series
    height = 90 + 32 * len(made.names)
    figure = framed(made.finding, made.axis, made.along, height, bargap=0.3)
    figure.add_bar(
        orientation="h",
        x=series.values,
        y=made.names,
        marker_color=[colour(cause) for cause in made.names],
        text=series.labels,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3~g} s, mean over ranks, %{text}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.25 * max(series.values, default=1.0)])
    return figure


@chart("layers")
def layers(answer: Answered) -> go.Figure:
    """Draw a waterfall over the layers of constants, ending at the step."""
    made = spent.layers(answer)
    added, whole = made.series
    *names, step = made.names
    figure = framed(made.finding, made.along, made.axis, height=400, showlegend=False)
    figure.add_waterfall(
        x=[*names, step],
        y=[*added.values[:-1], None],
        measure=["absolute", *("relative" for _ in names[1:]), "total"],
        text=[*added.labels[:-1], whole.labels[-1]],
        textposition="outside",
        cliponaxis=False,
        hovertext=[*(LAYER_ADDS[name] for name in names), "all layers"],
        hovertemplate="%{x}: %{text}<br>%{hovertext}<extra></extra>",
        increasing={"marker": {"color": colour(added.name)}},
        decreasing={"marker": {"color": colour(added.name)}},
        totals={"marker": {"color": colour(whole.name)}},
        connector={"line": {"width": 1, "color": GUIDE}},
    )
    highest = max(map(sum, zip(added.starts, added.values, strict=True)))
    figure.update_yaxes(range=[0, 1.12 * max(highest, whole.values[-1])])
    return figure


@chart("sensitivity")
def sensitivity(answer: Answered) -> go.Figure:
    """Draw the step's change at both ends of each constant's range."""
    made = moved.sensitivity(answer)
    height = 140 + 28 * len(made.names)
    figure = framed(
        made.finding, made.axis, made.along, height, barmode="overlay", bargap=0.35
    )
    for series in made.series:
        figure.add_bar(
            orientation="h",
            name=series.name,
            y=made.names,
            x=series.values,
            marker_color=colour(series.name),
            customdata=series.labels,
            hovertemplate="%{y} = %{customdata}: %{x:+.2f} %<extra></extra>",
        )
    figure.add_vline(0, line={"width": 1, "color": GUIDE})
    return figure


@chart("ranks")
def ranks(answer: Answered) -> go.Figure:
    """Stack each rank's kinds of chunk; every bar is as high as the step is long."""
    return _stacked(shares.ranks(answer), "%{y:.3~g} s")


@chart("memory")
def memory(answer: Answered) -> go.Figure:
    """Stack each rank's parts under the line that the GPU's memory draws."""
    made = held.memory(answer)
    figure = _stacked(made, "%{y:.3g}")
    if made.limit:
        name, limit = made.limit
        figure.add_hline(
            limit,
            line={"dash": "dash", "width": 2, "color": LIMIT},
            name=name,
            showlegend=True,
        )
        heights = map(sum, zip(*(each.values for each in made.series), strict=True))
        figure.update_yaxes(range=[0, 1.12 * max(limit, *heights)])
    return figure


def _stacked(made: Bars, value: str) -> go.Figure:
    """Return bars that stand on each other, over pipeline ranks.

    Parameters
    ----------
    value : str
        How the hover text shows a bar's height.
    """
    figure = framed(
        made.finding, made.along, made.axis, height=420, barmode="stack", bargap=0.15
    )
    for series in made.series:
        figure.add_bar(
            name=series.name,
            x=made.names,
            y=series.values,
            marker_color=colour(series.name),
            hovertemplate=f"rank %{{x}}, {series.name}: {value}<extra></extra>",
        )
    figure.update_xaxes(type="category")
    return figure
