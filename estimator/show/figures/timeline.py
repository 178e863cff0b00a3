"""Pipeline ranks over time: whole steps, or the windows of long ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from estimator.ground.words import CLOSE, duration
from estimator.show.charts.palette import colour
from estimator.show.figures.frame import INK, WIDTH, add_legend, framed
from estimator.show.findings.base import Box, Panel, Timeline
from estimator.show.findings.timeline import WINDOWS, Window, windows
from estimator.show.grid import shown_ranks

HALF_ROW, HALF_SEND = 0.43, 0.07
ROW_INCHES, LEAST_INCHES, MOST_INCHES = 0.21, 1.1, 12.0
"""Of a row, a panel, and all panels."""
LETTER_INCHES = 0.075
MOST_TICKS = 16
DARK = {"forward", "overlapped", "weight", "send"}
"""Kinds that white letters are read on."""


def draw(made: Timeline, footer: str) -> Figure:
    """Return the figure of a timeline: panels downwards, windows to the right."""
    parts = windows(made)
    rows = [_rows(panel) for panel in made.panels]
    most = MOST_INCHES / len(rows)
    tall = [min(max(ROW_INCHES * len(each), LEAST_INCHES), most) for each in rows]
    height = sum(tall) + 0.6 + 0.3 * len(tall)
    kinds = {kind for panel in made.panels for kind in panel.boxes}
    figure = framed(made.finding, footer, height, len(kinds) + 1)
    table = figure.subplots(
        len(made.panels),
        len(parts),
        squeeze=False,
        sharex="col",
        gridspec_kw={
            "height_ratios": tall,
            "width_ratios": [high - low for low, high in parts],
        },
    )
    inches_per_s = (WIDTH - 0.9) / sum(high - low for low, high in parts)
    for panel, places, line in zip(made.panels, rows, table, strict=True):
        for part, axes in zip(parts, line, strict=True):
            _fill(axes, panel, places, part, inches_per_s)
        _name_ranks(line[0], panel, places)
    _name_windows(table[-1], parts)
    add_legend(figure, made.finding)
    return figure


def _rows(panel: Panel) -> dict[int, int]:
    """Return the row of each rank that is shown; one is left out before a gap."""
    ranks = list(shown_ranks(panel.num_ranks))
    return {rank: row for row, rank in enumerate(ranks) if rank is not None}


def _fill(
    axes: Axes,
    panel: Panel,
    rows: dict[int, int],
    part: Window,
    inches_per_s: float,
) -> None:
    """Draw the boxes of a panel that lie in a window, idle time behind them."""
    low_s, high_s = part
    end_s = min(panel.step_s, high_s)
    idle = [_corners(row, low_s, end_s, 0) for row in rows.values() if end_s > low_s]
    axes.add_collection(_boxes("bubble", idle, label="idle", linewidth=0))
    for kind, boxes in panel.boxes.items():
        seen = [
            box
            for box in boxes
            if box.rank in rows and box.start_s < high_s and box.end_s > low_s
        ]
        shapes = [
            _corners(rows[box.rank], box.start_s, box.end_s, box.shift) for box in seen
        ]
        axes.add_collection(_boxes(kind, shapes, label=kind, linewidth=0.35))
        if kind != "send":
            _write_labels(axes, kind, seen, rows, inches_per_s)
    if end_s <= low_s:
        words = f"ended at {duration(panel.step_s, CLOSE)}"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center")
    elif panel.step_s < high_s:
        axes.axvline(panel.step_s, color=INK, linewidth=1)
    axes.set_title(" ", fontsize=9.5, pad=4)  # keeps a line's height for the name
    axes.set_xlim(part)
    axes.set_ylim(max(rows.values()) + 0.55, -0.55)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(left=False, labelleft=False)


def _corners(row: int, start_s: float, end_s: float, shift: int) -> Any:
    half = HALF_SEND if shift else HALF_ROW
    low, high = row + shift * HALF_ROW - half, row + shift * HALF_ROW + half
    return [(start_s, low), (end_s, low), (end_s, high), (start_s, high)]


def _boxes(kind: str, shapes: list[Any], **options: Any) -> PolyCollection:
    return PolyCollection(shapes, facecolor=colour(kind), edgecolor="white", **options)


def _write_labels(
    axes: Axes,
    kind: str,
    boxes: Sequence[Box],
    rows: dict[int, int],
    inches_per_s: float,
) -> None:
    """Write names into boxes, if there is room for all of a kind's."""
    if kind == "optimizer" or any(
        len(box.label) * LETTER_INCHES > (box.end_s - box.start_s) * inches_per_s
        for box in boxes
    ):
        return
    for box in boxes:
        axes.text(
            (box.start_s + box.end_s) / 2,
            rows[box.rank],
            box.label,
            ha="center",
            va="center",
            fontsize=7,
            color="white" if kind in DARK else INK,
            clip_on=True,
        )


def _name_ranks(axes: Axes, panel: Panel, rows: dict[int, int]) -> None:
    every = -(-len(rows) // MOST_TICKS)
    ticks = {row: str(rank) for rank, row in rows.items() if rank % every == 0}
    ticks |= {row - 1: "..." for row in rows.values() if row - 1 not in rows.values()}
    ticks.pop(-1, None)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.tick_params(labelleft=True, pad=1)
    axes.set_ylabel("pipeline rank")
    name = axes.annotate(
        panel.name,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9.5,
    )
    name.set_in_layout(False)  # it may be wider than the window


def _name_windows(bottom: Sequence[Axes], parts: Sequence[Window]) -> None:
    """Say below the time axis which part of the step each window shows."""
    unit = "seconds since the step began"
    if len(parts) == 1:
        bottom[0].set_xlabel(unit)
        return
    for axes, name, (low_s, high_s) in zip(bottom, WINDOWS, parts, strict=True):
        axes.set_xlabel(f"{name}: {low_s:.4g} to {high_s:.4g} s")
    bottom[1].set_xlabel(f"{bottom[1].get_xlabel()}\n{unit}")
