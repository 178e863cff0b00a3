"""What each pipeline rank does with the seconds of one step."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.show.charts.base import chart, stacked
from estimator.show.findings.base import Answer
from estimator.show.findings.ranks import ranks as found


@chart("ranks")
def ranks(answer: Answer) -> go.Figure:
    """Stack each rank's kinds of chunk; every bar is as high as the step is long."""
    return stacked(found(answer), "%{y:.3~g} s")
