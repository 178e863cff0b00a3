"""Points on two axes, scattered or joined, beside lines that lead the eye."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from estimator.show.charts.palette import GUIDE, LIMIT, group
from estimator.show.figures.frame import PALE, add_legend, framed
from estimator.show.findings.base import Curve, Plot

MARKS = ("o", "s", "^", "D", "P", "X")
DASHES = ("-", "--", ":", "-.", (0, (8, 2)), (0, (8, 2, 1, 2)))
INCHES = 5.0
GRID = "#e3e6e8"


def draw(made: Plot, footer: str) -> Figure:
    """Return the figure of points."""
    named = sum(bool(guide.name) for guide in made.guides)
    figure = framed(made.finding, footer, INCHES, len(made.curves) + named)
    axes = figure.add_subplot()
    for curve in made.curves:
        _add(axes, curve)
    for guide in made.guides:
        axes.plot(
            guide.x,
            guide.y,
            color=LIMIT if guide.is_limit else GUIDE,
            linestyle="--" if guide.is_limit else ":",
            linewidth=1.4,
            label=guide.name,
            zorder=1,
        )
    if made.is_log:
        _take_logarithms(axes)
    if any(curve.has_words for curve in made.curves):
        axes.set_xlim(left=0)  # room for the words
    axes.set_xlabel(made.x_axis)
    axes.set_ylabel(made.y_axis)
    axes.grid(visible=True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    add_legend(figure, made.finding)
    return figure


def _take_logarithms(axes: Axes) -> None:
    """Make both axes logarithmic, their numbers plain."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


def _add(axes: Axes, curve: Curve) -> None:
    shade, turn = group(curve.place)
    mark = curve.place if curve.is_joined else turn
    axes.plot(
        curve.x,
        curve.y,
        color=shade,
        marker=MARKS[mark % len(MARKS)],
        markersize=5,
        markeredgecolor=PALE,
        markeredgewidth=0.4,
        linestyle=DASHES[curve.place % len(DASHES)] if curve.is_joined else "none",
        label=curve.name,
    )
    if curve.has_words:  # below a front, where no plan is
        for label, x, y in zip(curve.labels, curve.x, curve.y, strict=True):
            axes.annotate(
                label,
                (x, y),
                xytext=(-4, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
            )
