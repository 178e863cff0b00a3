"""How the step grows from datasheets to what a kernel trace adds."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, framed
from estimator.show.charts.palette import GUIDE, colour
from estimator.show.findings.base import Answered
from estimator.show.findings.breakdown import layers as found
from estimator.show.wording import LAYER_ADDS


@chart("layers")
def layers(answer: Answered) -> go.Figure:
    """Draw a waterfall over the layers of constants, ending at the step."""
    made = found(answer)
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
