"""How far each sourced constant moves the step within its range: a tornado."""

from __future__ import annotations

import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import GUIDE, HIGH_END, LOW_END
from estimator.report import Assumption
from estimator.wording import brief, quantity, weight

MOST = 12
"""Constants shown, from the one that matters most."""


@chart("sensitivity")
def sensitivity(answer: Answer) -> go.Figure:
    """Draw the step's change at both ends of each constant's range."""
    rows = sorted(answer.report.assumptions, key=weight)
    rows = [row for row in rows if row.step_effect][-MOST:]
    figure = framed(
        _finding(rows),
        "change of the step, %",
        "",
        height=140 + 28 * len(rows),
        barmode="overlay",
        bargap=0.35,
    )
    ends = [("low end", LOW_END, 0), ("high end", HIGH_END, 1)]
    for name, colour, index in ends:
        figure.add_bar(
            orientation="h",
            name=f"constant at its {name}",
            y=[brief(row.name) for row in rows],
            x=[_effects(row)[index] * 100 for row in rows],
            marker_color=colour,
            customdata=[_range(row)[index] for row in rows],
            hovertemplate="%{y} = %{customdata}: %{x:+.2f} %<extra></extra>",
        )
    figure.add_vline(0, line={"width": 1, "color": GUIDE})
    return figure


def _finding(rows: list[Assumption]) -> str:
    if not rows:
        return "No constant has a range"
    low, high = sorted(_effects(rows[-1]))
    return f"{brief(rows[-1].name)} moves the step most: {low:+.1%} to {high:+.1%}"


def _effects(row: Assumption) -> tuple[float, float]:
    low, high = row.step_effect or (1.0, 1.0)
    return low - 1, high - 1


def _range(row: Assumption) -> tuple[str, str]:
    low, high = row.low or 0.0, row.high or 0.0
    return quantity(low, row.unit), quantity(high, row.unit)
