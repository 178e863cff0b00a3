"""Figures as files: which library draws them, and whether it is there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from estimator.answer import api, provenance
from estimator.answer.report import Report
from estimator.catalog import loading
from estimator.engine.bubble import PipelineStep
from estimator.engine.step import StepTrace
from estimator.explore.comparison import Comparison
from estimator.explore.results import Result
from estimator.ground import files
from estimator.ground.errors import InputError
from estimator.ground.extras import require
from estimator.ground.registry import suggestion
from estimator.show.findings.difference import difference
from estimator.show.findings.timeline import schedule_timeline
from estimator.specs.scenario import Scenario

HTML = ".html"
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Estimate:
    """A scenario's answers, each made when it is first read."""

    scenario: Scenario

    @cached_property
    def report(self) -> Report:
        """The estimate."""
        return api.estimate(self.scenario)

    @cached_property
    def trace(self) -> StepTrace:
        """What happens when in one step."""
        return api.trace(self.scenario)

    @cached_property
    def layers(self) -> dict[str, float]:
        """Seconds of a step as layers of constants are added."""
        return api.layers(self.scenario)

    def result(self, command: str) -> Result:
        """Return the answers as what a command found."""
        return Result([self.scenario], [self.report], command, [self.layers])


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
    files.check_target(path, files.FIGURE_SUFFIXES)
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
        from estimator.show.charts import timeline
        from estimator.show.charts.base import page

        figure = timeline.zoomable(timeline.drawn(made), made)
        files.write_text(path, [page(figure, footer)])
        return
    from estimator.show.figures import write

    write.write(made, footer, path)


def write_difference(made: Comparison, path: Path) -> None:
    """Draw what each changed input adds to the cost of the second scenario.

    Raises
    ------
    InputError
        If there are more than two scenarios, or the file cannot be written.
    """
    if len(made.reports) != 2:
        raise InputError(
            f"--chart draws one difference, not {len(made.reports) - 1}",
            where=[f"{each.scenario}: {each.error}" for each in made.failed],
            fix="two scenarios, or one and --vary PATH=OLD,NEW",
        )
    shown = difference(*made.reports, made.shares)
    before, after = map(provenance.of_scenario, made.scenarios)
    footer = f"{after} | baseline {before.name} {before.configuration}"
    if path.suffix == HTML:
        from estimator.show.charts import difference as chart
        from estimator.show.charts.base import page

        files.write_text(path, [page(chart.drawn(shown), footer)])
        return
    from estimator.show.figures import write

    write.write(shown, footer, path)


def formats(text: str) -> tuple[str, ...]:
    """Return the formats that a list with commas names, each once.

    >>> formats("svg, png,svg")
    ('svg', 'png')
    """
    named = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    for name in named:
        if name not in FORMATS:
            raise InputError(
                f"there is no format called {name[:60]!r}",
                why=f"known: {', '.join(FORMATS)}",
                fix=suggestion(name, list(FORMATS)),
            )
    return named


def write_report(
    name: str,
    overrides: Sequence[str],
    out: Path | None,
    folder: Path | None,
    kinds: Sequence[str],
) -> list[Path]:
    """Write a scenario's report, its figures into a folder, or both.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the scenario is wrong, or something cannot be written.
    EstimatorError
        If the library is missing that draws.
    """
    if out is None and folder is None:
        raise InputError("nothing to write", fix="--out report.html")
    if out:
        files.check_target(out, (HTML,))
    if folder:
        _check_folder(folder)
    require("a report or its figures", "export", "matplotlib")
    answer = Estimate(loading.load_scenario(name, overrides))
    written = []
    if out:
        from estimator.show import report_html

        patches = [word for patch in overrides for word in ("--set", patch)]
        command = shlex.join(["estimator", "run", name, *patches])
        files.write_text(out, report_html.page(answer, answer.result(command)))
        written.append(out)
    if folder:
        from estimator.show.figures import write

        _make_folder(folder)
        footer = str(provenance.of_scenario(answer.scenario))
        written += write.write_all(answer, footer, folder, kinds)
    return written


def _check_folder(folder: Path) -> None:
    """Raise unless figures can be written into a folder, or it can be made."""
    if not folder.is_dir():
        files.check_target(folder)
        if folder.exists():
            raise InputError(f"{folder} is a file, not a folder")
    else:
        files.check_target(folder / "timeline.png")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        why = str(error.strerror)
        raise InputError(f"{folder} cannot be made", why=why) from None
