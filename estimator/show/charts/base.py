"""The charts by name, and the frame around each; what they show is in ``findings``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import plotly.graph_objects as go

from estimator.ground.registry import Registry
from estimator.show.findings.base import Answered

Drawn: TypeAlias = go.Figure
Chart = Callable[[Answered], Drawn]

chart: Registry[Chart] = Registry("chart", package="estimator.show.charts")
"""Chart name -> function that draws it."""


def framed(finding: str, x: str, y: str, height: int, **layout: Any) -> go.Figure:
    """Return an empty figure whose title is its finding and whose axes have names."""
    figure = go.Figure(
        layout={
            "title": {"text": finding},
            "height": height,
            "margin": {"l": 8, "r": 8, "t": 48, "b": 8},
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
            },
            **layout,
        }
    )
    figure.update_xaxes(title=x, automargin=True)
    figure.update_yaxes(title=y, automargin=True)
    return figure


def page(figure: go.Figure, footer: str) -> str:
    """Return one HTML file that needs no network, where the figure comes from below."""
    figure.update_layout(margin={"b": 60})
    figure.add_annotation(
        text=footer,
        x=0,
        y=0,
        yshift=-58,
        xref="paper",
        yref="paper",
        xanchor="left",
        showarrow=False,
        font={"size": 10, "color": "#5d656d"},
    )
    made: str = figure.to_html(include_plotlyjs=True, config={"displaylogo": False})
    return made
