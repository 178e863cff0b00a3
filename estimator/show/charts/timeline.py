"""Pipeline ranks over time: a scenario's step, or schedules under each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from estimator.ground.words import CLOSE, duration
from estimator.show.charts.base import chart, framed
from estimator.show.charts.palette import colour
from estimator.show.findings.base import Answered, Box, Panel, Timeline
from estimator.show.findings.timeline import WINDOWS, windows
from estimator.show.findings.timeline import timeline as found

HALF_ROW = 0.42
SEND_ROW = 0.08
"""Half the height of a send, which lies on the edge of its sender's row."""
SEAM = 1 / 2000
"""Share of the step that is left open after a box, so that neighbours stay apart."""
NAME_SHARE = 0.1
"""Of a panel's height, for its name."""
MOST_PIXELS = 1400
MOST_BOXES = 20_000
"""Boxes up to which a step is drawn whole; of a longer one its windows are."""


@chart("timeline")
def timeline(answer: Answered) -> go.Figure:
    """Draw each kind of chunk as one filled path: thousands of boxes, few elements."""
    return drawn(found(answer))


def drawn(made: Timeline) -> go.Figure:
    """Return the figure of a timeline, one row of axes per panel."""
    end_s, count = made.end_s, len(made.panels)
    rows = sum(panel.num_ranks for panel in made.panels)
    figure = framed(
        made.finding,
        "seconds since the step began",
        "pipeline rank",
        height=120 + min(24 * rows, MOST_PIXELS) + 60 * (count - 1),
        hovermode="closest",
        hoverdistance=40,
    )
    shown: set[str] = set()
    for index, panel in enumerate(_within_windows(made)):
        axis = f"y{index + 1}" if index else "y"
        for kind, boxes in panel.boxes.items():
            path = _filled(kind, boxes, SEAM * end_s)
            figure.add_scatter(**path, yaxis=axis, showlegend=kind not in shown)
            shown.add(kind)
        figure.add_scatter(**_hover(panel), yaxis=axis)
        _place(figure, index, panel, count)
    figure.update_xaxes(range=[0, end_s], zeroline=False, anchor=f"y{count}")
    return figure


def zoomable(figure: go.Figure, made: Timeline) -> go.Figure:
    """Show the start of a long step, and add buttons for its other parts."""
    parts = windows(made)
    if len(parts) == 1:
        return figure
    ranges = dict(zip(WINDOWS, parts, strict=True)) | {"whole step": (0.0, made.end_s)}
    figure.update_xaxes(range=list(parts[0]))
    figure.update_layout(
        margin={"t": 110},
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "x": 1,
                "xanchor": "right",
                "y": 1.02,
                "yanchor": "bottom",
                "buttons": [
                    {
                        "label": name,
                        "method": "relayout",
                        "args": [{"xaxis.range": list(ends)}],
                    }
                    for name, ends in ranges.items()
                ],
            }
        ],
    )
    return figure


def _within_windows(made: Timeline) -> tuple[Panel, ...]:
    """Return the panels, of very long steps only what the windows show."""
    if sum(map(len, (b for p in made.panels for b in p.boxes.values()))) <= MOST_BOXES:
        return made.panels
    parts = windows(made)
    return tuple(
        Panel(
            panel.name,
            panel.num_ranks,
            panel.step_s,
            {
                kind: kept
                for kind, boxes in panel.boxes.items()
                if (kept := tuple(box for box in boxes if _is_seen(box, parts)))
            },
        )
        for panel in made.panels
    )


def _is_seen(box: Box, parts: Sequence[tuple[float, float]]) -> bool:
    return any(box.start_s < high and box.end_s > low for low, high in parts)


def _place(figure: go.Figure, index: int, panel: Panel, count: int) -> None:
    """Give a panel its part of the height, a name where there are several."""
    share = 1 / count
    top = 1 - (index + NAME_SHARE * (count > 1)) * share
    low = 1 - (index + 1) * share
    figure.update_layout(
        {
            f"yaxis{index + 1 if index else ''}": {
                "title": "pipeline rank",
                "domain": [max(low, 0.0), top],
                "range": [panel.num_ranks - 0.5, -0.5],
                "dtick": max(1, panel.num_ranks // 16),
                "zeroline": False,
                "showgrid": False,
            }
        }
    )
    if count > 1:
        figure.add_annotation(
            text=panel.name,
            x=0,
            y=top,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )


def _filled(kind: str, boxes: Sequence[Box], seam_s: float) -> dict[str, object]:
    """Return a trace of closed boxes, with a gap after each."""
    corners = [(box.rank, box.start_s, box.end_s, box.shift) for box in boxes]
    rank, start_s, end_s, shift = np.array(corners, dtype=np.float32).T
    end_s = end_s - np.minimum(seam_s, (end_s - start_s) / 10)
    gap = np.full_like(rank, np.nan)
    middle = rank + shift * HALF_ROW
    half = np.where(shift == 0, np.float32(HALF_ROW), np.float32(SEND_ROW))
    low, high = middle - half, middle + half
    return {
        "name": kind,
        "x": np.stack([start_s, end_s, end_s, start_s, start_s, gap], axis=1).ravel(),
        "y": np.stack([low, low, high, high, low, gap], axis=1).ravel(),
        "mode": "lines",
        "fill": "toself",
        "fillcolor": colour(kind),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _hover(panel: Panel) -> dict[str, object]:
    """Return an invisible path through the boxes' middles that names them."""
    boxes = [box for kind in panel.boxes.values() for box in kind if box.label]
    return {
        "x": np.array([box.start_s + box.end_s for box in boxes], np.float32) / 2,
        "y": np.array([box.rank + box.shift * HALF_ROW for box in boxes], np.float32),
        "mode": "lines",
        "line": {"width": 0},
        "showlegend": False,
        "text": [
            f"rank {box.rank}: {box.label}<br>{duration(box.end_s - box.start_s)} "
            f"from {duration(box.start_s, CLOSE)}"
            for box in boxes
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
