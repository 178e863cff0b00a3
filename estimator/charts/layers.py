"""How the step grows from datasheets to what a kernel trace adds."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import GUIDE, HIGH_END, LOW_END
from estimator.wording import LAYER_ADDS


@chart("layers")
def layers(answer: Answer) -> go.Figure:
    """Draw a waterfall over the layers of constants, ending at the step."""
    names, steps = list(answer.layers), list(answer.layers.values())
    added = [steps[0], *(after - before for before, after in pairwise(steps))]
    figure = framed(
        f"Datasheets alone give {steps[0]:.1f} s of a {steps[-1]:.1f} s step: "
        f"{steps[0] / steps[-1]:.0%}",
        "layer of constants",
        "seconds of a step",
        height=400,
        showlegend=False,
    )
    figure.add_waterfall(
        x=[*names, "step"],
        y=[*added, None],
        measure=["absolute", *("relative" for _ in added[1:]), "total"],
        text=[
            f"{added[0]:.2f} s",
            *(f"{s:+.2f} s" for s in added[1:]),
            f"{steps[-1]:.2f} s",
        ],
        textposition="outside",
        cliponaxis=False,
        hovertext=[*(LAYER_ADDS[name] for name in names), "all layers"],
        hovertemplate="%{x}: %{text}<br>%{hovertext}<extra></extra>",
        increasing={"marker": {"color": LOW_END}},
        decreasing={"marker": {"color": LOW_END}},
        totals={"marker": {"color": HIGH_END}},
        connector={"line": {"width": 1, "color": GUIDE}},
    )
    figure.update_yaxes(range=[0, 1.12 * max(steps)])
    return figure
