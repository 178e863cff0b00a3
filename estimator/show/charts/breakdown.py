"""Where the seconds of one step go, by cause."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, framed
from estimator.show.charts.palette import colour
from estimator.show.findings.base import Answered
from estimator.show.findings.breakdown import breakdown as found


@chart("breakdown")
def breakdown(answer: Answered) -> go.Figure:
    """Draw one bar per cause, the longest on top; they add up to the step."""
    made = found(answer)
    (spent,) = made.series
    height = 90 + 32 * len(made.names)
    figure = framed(made.finding, made.axis, made.along, height, bargap=0.3)
    figure.add_bar(
        orientation="h",
        x=spent.values,
        y=made.names,
        marker_color=[colour(cause) for cause in made.names],
        text=spent.labels,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3~g} s, mean over ranks, %{text}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.25 * max(spent.values, default=1.0)])
    return figure
