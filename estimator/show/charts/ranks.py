"""What each pipeline rank does in one step, and what it holds at the peak."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, stacked
from estimator.show.charts.palette import LIMIT
from estimator.show.findings import memory as held
from estimator.show.findings import ranks as spent
from estimator.show.findings.base import Answered


@chart("ranks")
def ranks(answer: Answered) -> go.Figure:
    """Stack each rank's kinds of chunk; every bar is as high as the step is long."""
    return stacked(spent.ranks(answer), "%{y:.3~g} s")


@chart("memory")
def memory(answer: Answered) -> go.Figure:
    """Stack each rank's parts under the line that the GPU's memory draws."""
    made = held.memory(answer)
    figure = stacked(made, "%{y:.3g}")
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
