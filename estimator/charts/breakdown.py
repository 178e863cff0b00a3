"""Where the seconds of one step go, by cause."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import colour

COMPUTATION = ("gemm", "attention", "element-wise")


@chart("breakdown")
def breakdown(answer: Answer) -> go.Figure:
    """Draw one bar per cause, the longest on top; they add up to the step."""
    step = answer.report.step
    parts = dict(sorted(step.parts.items(), key=lambda part: part[1]))
    computing = sum(parts.get(cause, 0.0) for cause in COMPUTATION) / step.step_s
    losses = [cause for cause in reversed(parts) if cause not in COMPUTATION][:2]
    finding = f"Computation takes {computing:.0%} of a step" + "".join(
        f", {cause} {parts[cause] / step.step_s:.0%}" for cause in losses
    )
    figure = framed(
        finding,
        "seconds of a step",
        "",
        height=90 + 32 * len(parts),
        bargap=0.3,
    )
    figure.add_bar(
        orientation="h",
        x=list(parts.values()),
        y=list(parts),
        marker_color=[colour(cause) for cause in parts],
        text=[f"{spent / step.step_s:.1%}" for spent in parts.values()],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f} s, mean over ranks, %{text}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.25 * max(parts.values(), default=1.0)])
    return figure
