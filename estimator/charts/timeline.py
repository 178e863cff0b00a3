"""One step of the pipeline: what each rank does when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from estimator.charts.base import Answer, chart, framed
from estimator.charts.palette import CHUNKS, colour
from estimator.engine.step import Span, StepTrace
from estimator.schedules.ir import Op

KINDS = {
    Op.F: "forward",
    Op.FB: "overlapped",
    Op.B: "backward",
    Op.I: "backward input",
    Op.W: "weight",
}
HALF_ROW = 0.42
SEAM = 1 / 2000
"""Share of the step that is left open after a box, so that neighbours stay apart."""
Box = tuple[int, float, float]
"""Rank, start and end."""


@chart("timeline")
def timeline(answer: Answer) -> go.Figure:
    """Draw each kind of chunk as one filled path: thousands of boxes, few elements."""
    step, trace = answer.report.step, answer.trace
    num_ranks = len(step.ranks)
    figure = framed(
        _finding(trace, num_ranks, step.step_s),
        "seconds since the step began",
        "pipeline rank",
        height=120 + 24 * num_ranks,
        hovermode="closest",
        hoverdistance=40,
    )
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for span in trace.instructions:
        boxes[KINDS[span.instruction.op]].append((span.rank, span.start_s, span.end_s))
    boxes["optimizer"] = [
        (rank, trace.makespan_s, step.step_s) for rank in range(num_ranks)
    ]
    for kind in CHUNKS:
        if boxes[kind]:
            figure.add_scatter(**_filled(kind, boxes[kind], SEAM * step.step_s))
    figure.add_scatter(**_hover(trace.instructions))
    figure.update_xaxes(range=[0, step.step_s], zeroline=False)
    figure.update_yaxes(
        range=[num_ranks - 0.5, -0.5], dtick=1, zeroline=False, showgrid=False
    )
    return figure


def _filled(kind: str, boxes: Sequence[Box], seam_s: float) -> dict[str, object]:
    """Return a trace of closed boxes, with a gap after each."""
    rank, start_s, end_s = np.array(boxes, dtype=np.float32).T
    end_s = end_s - np.minimum(seam_s, (end_s - start_s) / 10)
    gap = np.full_like(rank, np.nan)
    low, high = rank - HALF_ROW, rank + HALF_ROW
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


def _hover(spans: Sequence[Span]) -> dict[str, object]:
    """Return an invisible path through the boxes' middles that names them."""
    return {
        "x": np.array([span.start_s + span.end_s for span in spans], np.float32) / 2,
        "y": np.array([span.rank for span in spans], np.float32),
        "mode": "lines",
        "line": {"width": 0},
        "showlegend": False,
        "text": [
            f"rank {span.rank}: {span.name}<br>{span.end_s - span.start_s:.3f} s "
            f"from {span.start_s:.3f} s"
            for span in spans
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _finding(trace: StepTrace, num_ranks: int, step_s: float) -> str:
    """Say how much ranks wait, and how much of it at the ends of the step."""
    first_s, last_s = [trace.makespan_s] * num_ranks, [0.0] * num_ranks
    busy_s = [0.0] * num_ranks
    for span in trace.instructions:
        first_s[span.rank] = min(first_s[span.rank], span.start_s)
        last_s[span.rank] = max(last_s[span.rank], span.end_s)
        busy_s[span.rank] += span.end_s - span.start_s
    waiting = num_ranks * trace.makespan_s - sum(busy_s)
    inside = sum(last_s) - sum(first_s) - sum(busy_s)
    if waiting <= 0:
        return "Ranks never wait for each other"
    return (
        f"Ranks wait {waiting / num_ranks / step_s:.0%} of a step, "
        f"{inside / waiting:.0%} of that between their chunks, the rest at its ends"
    )
