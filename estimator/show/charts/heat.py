"""A number at every combination of two inputs, as colours, with a line at a limit."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from estimator.show.charts.base import framed
from estimator.show.charts.palette import GUIDE, LADDER, LIMIT
from estimator.show.findings.base import Heat

LEAST, ROW = 190, 30
"""Pixels of the frame, and of a row."""
NO = "does not work"
HALO = 6
"""Pixels of white behind the line of the limit, which may lie on any colour."""


def drawn(made: Heat) -> go.Figure:
    """Return the figure of a map; combinations that do not work are crosses."""
    height = LEAST + ROW * max(len(made.y_names), 4)
    figure = framed(made.finding, made.x_axis, made.y_axis, height)
    figure.add_heatmap(
        z=made.cells,
        colorscale=LADDER,
        colorbar={"title": {"text": made.z_axis, "side": "right"}, "thickness": 14},
        xgap=1,
        ygap=1,
        customdata=[[[x, y] for x in made.x_names] for y in made.y_names],
        hovertemplate=f"{made.x_axis}: %{{customdata[0]}}<br>{made.y_axis}: "
        f"%{{customdata[1]}}<br>{made.z_axis}: %{{z:.4g}}<extra></extra>",
        hoverongaps=False,
    )
    if made.limit and made.is_crossed:
        for colour, width, is_named in (("white", HALO, False), (LIMIT, 3, True)):
            figure.add_contour(**_line(made, colour, width, is_named=is_named))
    if made.gaps:
        figure.add_scatter(**_crosses(made))
    for axes, names in (
        (figure.update_xaxes, made.x_names),
        (figure.update_yaxes, made.y_names),
    ):
        ends = [-0.5, len(names) - 0.5]
        places = list(range(len(names)))
        axes(tickvals=places, ticktext=names, range=ends, showgrid=False)
    return figure


def _line(made: Heat, colour: str, width: int, *, is_named: bool) -> dict[str, Any]:
    name, level = made.limit or ("", 0.0)
    return {
        "z": made.cells,
        "contours": {"start": level, "end": level, "size": 1, "coloring": "none"},
        "line": {"color": colour, "width": width, "smoothing": 0},
        "name": name,
        "showlegend": is_named,
        "showscale": False,
        "hoverinfo": "skip",
    }


def _crosses(made: Heat) -> dict[str, Any]:
    return {
        "x": [x for x, _ in made.gaps],
        "y": [y for _, y in made.gaps],
        "mode": "markers",
        "marker": {"symbol": "x-thin", "size": 9, "line": {"color": GUIDE, "width": 2}},
        "name": NO,
        "showlegend": True,
        "text": [
            f"{made.x_axis}: {made.x_names[x]}<br>{made.y_axis}: {made.y_names[y]}"
            f"<br>{made.reasons[y][x]}"
            for x, y in made.gaps
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
