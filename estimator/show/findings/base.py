"""The data of a figure, whatever draws it: bars, boxes on a time axis, points, maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from estimator.answer.report import Report
from estimator.engine.step import StepTrace
from estimator.ground.registry import Registry


class Reported(Protocol):
    """An estimate."""

    @property
    def report(self) -> Report:
        """The estimate."""


class Answered(Reported, Protocol):
    """An estimate and what can be asked of it; each part is made when it is read."""

    @property
    def trace(self) -> StepTrace:
        """What happens when in one step."""

    @property
    def layers(self) -> Mapping[str, float]:
        """Seconds of a step as layers of constants are added."""


class Series(NamedTuple):
    """Bars of one kind, one per name of the axis."""

    name: str
    """What the legend says, and what gives the colour."""
    values: tuple[float, ...]
    labels: tuple[str, ...] = ()
    """Words at each bar."""
    starts: tuple[float, ...] = ()
    """Where each bar begins, if not at zero or on top of the one below."""


@dataclass(frozen=True)
class Bars:
    """Bars over names; a series of its own per colour."""

    finding: str
    axis: str
    """What the bars measure, with its unit."""
    along: str
    """What the names are; empty where they say it themselves."""
    names: tuple[str, ...]
    series: tuple[Series, ...]
    is_horizontal: bool = False
    is_coloured_by_name: bool = False
    note: str = ""
    """What the words at the bars are, where it is not plain."""
    limit: tuple[str, float] | None = None
    """A line that bars should stay under, and its name."""


class Box(NamedTuple):
    """A stretch of a rank's time."""

    rank: int
    start_s: float
    end_s: float
    label: str = ""
    shift: int = 0
    """Of a send: 1 towards later ranks, -1 towards earlier ones."""


@dataclass(frozen=True)
class Panel:
    """What each pipeline rank of one step does when."""

    name: str
    num_ranks: int
    step_s: float
    boxes: Mapping[str, tuple[Box, ...]]
    """Kind of chunk -> its boxes."""


@dataclass(frozen=True)
class Timeline:
    """Steps under each other, on one time axis."""

    finding: str
    panels: tuple[Panel, ...]

    @property
    def end_s(self) -> float:
        """Seconds of the longest step."""
        return max(panel.step_s for panel in self.panels)


class Curve(NamedTuple):
    """Points of one kind, scattered or joined by a line."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...] = ()
    """What each point is."""
    place: int = 0
    """Among curves of its sort: gives colour and mark, whatever else is shown."""
    is_joined: bool = False
    has_words: bool = False
    """Labels stand beside the points, not only where a reader points at one."""


class Guide(NamedTuple):
    """A straight line to read points against."""

    name: str
    """What the legend says; empty where another line's name says it."""
    x: tuple[float, float]
    y: tuple[float, float]
    is_limit: bool = False
    """It should not be crossed; others only lead the eye."""


@dataclass(frozen=True)
class Plot:
    """Points on two axes of numbers."""

    finding: str
    x_axis: str
    y_axis: str
    """What the axes measure, with their units."""
    curves: tuple[Curve, ...]
    guides: tuple[Guide, ...] = ()
    is_log: bool = False
    """Both axes are logarithmic."""


@dataclass(frozen=True)
class Heat:
    """A number at every combination of two inputs."""

    finding: str
    x_axis: str
    y_axis: str
    z_axis: str
    """What colour measures, with its unit."""
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]
    """One row per name of the y axis; None where the combination does not work."""
    reasons: tuple[tuple[str, ...], ...]
    """Why not, at the same places."""
    limit: tuple[str, float] | None = None
    """A value at which a line is drawn, and the line's name."""

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The places, x and y, where a combination does not work."""
        return [
            (x, y)
            for y, row in enumerate(self.cells)
            for x, value in enumerate(row)
            if value is None
        ]

    @property
    def is_crossed(self) -> bool:
        """Whether some values lie below the limit and some above."""
        if self.limit is None:
            return False
        known = [value for row in self.cells for value in row if value is not None]
        return bool(known) and min(known) < self.limit[1] < max(known)


Figure = Bars | Timeline | Plot | Heat
Finding = Callable[[Answered], Bars | Timeline]

finding: Registry[Finding] = Registry("chart", package="estimator.show.findings")
"""Figure name -> function that finds what it shows."""
