"""Figures as files: which library draws them, and whether it is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from estimator import export, provenance
from estimator.engine.bubble import PipelineStep
from estimator.extras import require
from estimator.findings.timeline import schedule_timeline

HTML = ".html"


def need_matplotlib() -> None:
    """Raise unless figures can be drawn without a browser."""
    require("a figure in PNG, SVG or PDF", "export", "matplotlib")


def check_target(path: Path) -> None:
    """Raise unless a chart can be written here; cheap, for before the work.

    Raises
    ------
    InputError
        If the name has another ending, or cannot be written.
    EstimatorError
        If the library is missing that draws it.
    """
    export.check_target(path, export.FIGURE_SUFFIXES)
    if path.suffix == HTML:
        require("a chart in HTML", "app", "plotly")
    else:
        need_matplotlib()


def write_schedules(steps: Sequence[PipelineStep], spent: Any, path: Path) -> None:
    """Draw schedules under each other on one time axis.

    Parameters
    ----------
    spent : object
        The durations that were given, for the footer.
    """
    made = schedule_timeline(steps)
    footer = str(provenance.of_schedules(list(steps), spent))
    if path.suffix == HTML:
        from estimator.charts import timeline

        figure = timeline.zoomable(timeline.drawn(made), made)
        export.write_text(path, [timeline.page(figure, footer)])
        return
    from estimator.figures import write

    write.write(made, footer, path)
