"""What every figure is made from, and the frame around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import plotly.graph_objects as go

from estimator.engine.step import StepTrace
from estimator.registry import Registry
from estimator.report import Report


class Answer(Protocol):
    """An estimate and what can be asked of it; each part is made when it is read."""

    @property
    def report(self) -> Report:
        """The estimate."""

    @property
    def trace(self) -> StepTrace:
        """What happens when in one step."""

    @property
    def layers(self) -> Mapping[str, float]:
        """Seconds of a step as layers of constants are added."""


Chart = Callable[[Answer], go.Figure]

chart: Registry[Chart] = Registry("chart", package="estimator.charts")
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
