"""How far each sourced constant moves the step within its range: a tornado."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, framed
from estimator.show.charts.palette import GUIDE, colour
from estimator.show.findings.base import Answered
from estimator.show.findings.sensitivity import sensitivity as found


@chart("sensitivity")
def sensitivity(answer: Answered) -> go.Figure:
    """Draw the step's change at both ends of each constant's range."""
    made = found(answer)
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
