"""Peak memory of each pipeline rank, by part."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import LIMIT, colour

GB = 1e9


@chart("memory")
def memory(answer: Answer) -> go.Figure:
    """Stack each rank's parts under the line that the GPU's memory draws."""
    peak = answer.report.memory
    part, size = max(peak.parts.items(), key=lambda item: item[1])
    verb = "needs most" if peak.fits else "does not fit"
    figure = framed(
        f"Rank {peak.rank} {verb}: {peak.peak_bytes / GB:.1f} of "
        f"{peak.hbm_bytes / GB:.1f} GB, {size / peak.peak_bytes:.0%} of it {part}",
        "pipeline rank",
        "GB at the peak",
        height=420,
        barmode="stack",
        bargap=0.15,
    )
    for name in peak.parts:
        figure.add_bar(
            name=name,
            x=list(range(len(peak.ranks))),
            y=[rank[name] / GB for rank in peak.ranks],
            marker_color=colour(name),
            hovertemplate=f"rank %{{x}}, {name}: %{{y:.1f}} GB<extra></extra>",
        )
    figure.add_hline(
        peak.hbm_bytes / GB,
        line={"dash": "dash", "width": 2, "color": LIMIT},
        name=f"{peak.hbm_bytes / GB:.1f} GB in a GPU",
        showlegend=True,
    )
    highest = max(peak.peak_bytes, peak.hbm_bytes) / GB
    figure.update_yaxes(range=[0, 1.12 * highest])
    figure.update_xaxes(type="category")
    return figure
