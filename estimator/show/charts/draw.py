"""Which function draws which data, for figures that are made from other inputs."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts import difference, heat, plot
from estimator.show.findings.base import Bars, Heat, Plot


def drawn(made: Plot | Heat | Bars) -> go.Figure:
    """Return the figure of a plot, a map, or a waterfall of differences."""
    if isinstance(made, Heat):
        return heat.drawn(made)
    return plot.drawn(made) if isinstance(made, Plot) else difference.drawn(made)
