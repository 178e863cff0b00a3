"""The frame of every static figure: finding on top, provenance below; and its bytes."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

WIDTH = 9.0
"""Inches."""
DPI = 150
LETTERS = 84
"""Of a finding on one line."""
TITLE_INCHES, LEGEND_INCHES, FOOTER_INCHES = 0.23, 0.26, 0.24
"""Of a line each."""
EDGE = 0.012
COLUMNS = 7
"""Of the legend."""
INK, PALE = "#1c2126", "#5d656d"
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "estimator",
    "text.parse_math": False,  # a name may hold a dollar sign
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
}
SILENT: dict[str, dict[str, Any]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}
"""Metadata that would make the same figure another file."""


def framed(finding: str, footer: str, height: float, num_entries: int = 0) -> Figure:
    """Return an empty figure with its finding and where it comes from.

    Parameters
    ----------
    height : float
        Inches of what is drawn; title, legend and footer come on top.
    num_entries : int
        Entries of the legend, for which room is kept.
    """
    lines = textwrap.wrap(finding, LETTERS)
    rows = -(-num_entries // COLUMNS)
    above = 0.14 + TITLE_INCHES * len(lines) + LEGEND_INCHES * rows
    below = FOOTER_INCHES if footer else 0.0
    tall = above + height + below
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        room = (0, below / tall, 1, 1 - (above + below) / tall)
        engine.set(rect=room)  # type: ignore[call-arg]
    for number, line in enumerate(lines):
        low = 1 - (0.1 + TITLE_INCHES * number) / tall
        figure.text(EDGE, low, line, va="top", fontsize=12.5, fontweight="bold")
    figure.text(EDGE, below / tall / 3, footer, fontsize=7.5, color=PALE)
    return figure


def add_legend(figure: Figure, finding: str) -> None:
    """Put the legend between title and axes, each word once."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    above = 0.1 + TITLE_INCHES * len(textwrap.wrap(finding, LETTERS))
    legend = figure.legend(
        list(handles.values()),
        list(handles),
        loc="upper left",
        bbox_to_anchor=(0, 1 - above / figure.get_figheight()),
        ncols=COLUMNS,
        columnspacing=1.4,
        handlelength=1.2,
    )
    legend.set_in_layout(False)


def encoded(figure: Figure, file_format: str) -> bytes:
    """Return a figure as a file: png, svg or pdf."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(
            buffer, format=file_format, dpi=DPI, metadata=SILENT[file_format]
        )
    return buffer.getvalue()
