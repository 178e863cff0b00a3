"""What each pipeline rank does with the seconds of one step."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import CHUNKS, colour


@chart("ranks")
def ranks(answer: Answer) -> go.Figure:
    """Stack each rank's kinds of chunk; every bar is as high as the step is long."""
    step = answer.report.step
    least = min(step.ranks, key=lambda row: row.bubble_s)
    most = max(step.ranks, key=lambda row: row.bubble_s)
    figure = framed(
        f"Rank {most.rank} waits {most.bubble_s:.2f} s of {step.step_s:.2f} s, "
        f"rank {least.rank} {least.bubble_s:.2f} s",
        "pipeline rank",
        "seconds of a step",
        height=420,
        barmode="stack",
        bargap=0.15,
    )
    names = [row.rank for row in step.ranks]
    for kind in CHUNKS:
        field = kind.replace(" ", "_") + "_s"
        spent = [getattr(row, field) for row in step.ranks]
        if any(spent):
            figure.add_bar(
                name=kind,
                x=names,
                y=spent,
                marker_color=colour(kind),
                hovertemplate=f"rank %{{x}}, {kind}: %{{y:.3f}} s<extra></extra>",
            )
    figure.update_xaxes(type="category")
    return figure
