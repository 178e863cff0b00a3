"""A sweep's points in tasks, and what a task evaluates to.

Points that differ in rates and prices only are evaluated together; each combination of
the other inputs is a scenario of its own, or the nearest to it that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimator.answer.bill import price_title
from estimator.answer.in_lanes import answers
from estimator.answer.walk import NUMBERS
from estimator.catalog.nearest import nearest
from estimator.catalog.patches import Patch, patched
from estimator.explore.designs import Design
from estimator.ground.attempts import one_line
from estimator.ground.documents import Map
from estimator.ground.errors import EstimatorError
from estimator.ground.lanes import Floats, Index
from estimator.ground.words import size
from estimator.specs.scenario import Scenario

LANES_PER_TASK = 8192
COMBINATIONS_PER_TASK = 8
"""Scenarios of one task: together some 0.1 s of work, what a task costs forgotten."""

FITS = ("fits", "fits_with_headroom")
"""Columns that are true or false."""
TOLD = (*FITS, "reason", "adjusted", "price_title")
"""What a row tells beside numbers: whether it works, why not, what was changed, and
what an hour is paid by."""

Columns = dict[str, Any]
"""Name -> array with one value per row."""


@dataclass(frozen=True)
class Base:
    """What every point starts from: a scenario, and what is set in all of them."""

    document: Map
    """Inlined, nothing set."""
    overrides: tuple[Patch, ...] = ()

    def at(self, part: Part) -> Map:
        """Return the scenario at one combination; rates are set later."""
        patches = [
            Patch(tuple(path.split(".")), value, f"--vary {path}")
            for path, value in part.patches.items()
        ]
        rates = [path.split(".") for path in part.rates]
        return patched(self.document, [*self.overrides, *patches], rates)


@dataclass(frozen=True)
class Part:
    """One combination of structural inputs, at some values of the rates."""

    patches: Mapping[str, Any]
    """Path -> value to put into the document."""
    rates: Mapping[str, Floats]
    points: Index
    """The rows' places in the whole design."""


@dataclass(frozen=True)
class Task:
    """What one process does at a time."""

    number: int
    parts: tuple[Part, ...]

    @property
    def num_points(self) -> int:
        """Rows of the task."""
        return sum(len(part.points) for part in self.parts)


def tasks(design: Design) -> Iterator[Task]:
    """Yield a design's points in tasks, always the same ones in the same order."""
    number, width = 0, 0
    parts: list[Part] = []
    for part in _parts(design):
        size = len(part.points)
        if parts and (
            len(parts) == COMBINATIONS_PER_TASK or width + size > LANES_PER_TASK
        ):
            yield Task(number, tuple(parts))
            number, width, parts = number + 1, 0, []
        parts.append(part)
        width += size
    yield Task(number, tuple(parts))


def _parts(design: Design) -> Iterator[Part]:
    points = np.arange(len(design))
    index = design.at(points)
    combination = _combinations(design, index)
    order = np.argsort(combination, kind="stable")
    ends = np.flatnonzero(np.diff(combination[order])) + 1
    for together in np.split(order, ends):
        for left in range(0, len(together), LANES_PER_TASK):
            chosen = together[left : left + LANES_PER_TASK]
            places = list(zip(design.axes, index[:, chosen], strict=True))
            yield Part(
                {
                    axis.path: axis.values[place[0]]
                    for axis, place in places
                    if axis.rates is None
                },
                {
                    axis.path: axis.rates[place]
                    for axis, place in places
                    if axis.rates is not None
                },
                chosen,
            )


def _combinations(design: Design, index: Index) -> Index:
    """Return a number for each point, the same where structural inputs are."""
    made = np.zeros(index.shape[1], dtype=np.intp)
    for axis, places in zip(design.axes, index, strict=True):
        if axis.rates is None:
            made = made * len(axis) + places
            if design.drawn is not None:  # many axes would overflow
                made = np.unique(made, return_inverse=True)[1]
    return made


def inputs(design: Design, points: Index) -> Columns:
    """Return the columns that tell each point's inputs."""
    return {
        axis.path: (np.array(axis.shown) if axis.rates is None else axis.rates)[places]
        for axis, places in zip(design.axes, design.at(points), strict=True)
    }


def task_columns(base: Base, task: Task) -> Columns:
    """Return the rows of a task: point, answers, what was changed, why none works."""
    made = [_combination(base, part) for part in task.parts]
    return {
        "point": np.concatenate([part.points for part in task.parts]),
        **{name: np.concatenate([part[name] for part in made]) for name in made[0]},
    }


def _combination(base: Base, part: Part) -> Columns:
    num_points, adjusted = len(part.points), ""
    try:
        name = str(base.document.get("name", ""))
        found = nearest(base.at(part), name, part.patches)
        adjusted, room = found.adjusted, 1 - found.scenario.memory_headroom.value
        columns: Columns = dict(answers(found.scenario, part.rates, num_points))
    except EstimatorError as error:
        columns = {name: np.full(num_points, np.nan) for name in NUMBERS}
        columns |= {name: np.zeros(num_points, dtype=bool) for name in FITS}
        words = {"reason": one_line(error), "adjusted": adjusted, "price_title": ""}
        told = {
            key: np.full(num_points, text, dtype=object) for key, text in words.items()
        }
        return columns | told
    columns["adjusted"] = np.full(num_points, adjusted, dtype=object)
    columns["price_title"] = np.full(
        num_points, _price(found.scenario, part), dtype=object
    )
    needs, has = columns["peak_bytes"], columns["hbm_bytes"]
    columns["fits"] = needs <= has
    columns["fits_with_headroom"] = needs <= has * room
    columns["reason"] = np.full(num_points, "", dtype=object)
    for lane in np.flatnonzero(~columns["fits"]):
        text = f"needs {size(needs[lane])} of {size(has[lane])}"
        columns["reason"][lane] = text
    return columns


def _price(scenario: Scenario, part: Part) -> str:
    """Return what an hour is paid by, in words."""
    varied = [path for path in part.rates if path.startswith("price.")]
    return "as varied" if varied else price_title(scenario)
