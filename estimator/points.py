"""A sweep's points in tasks, and what a task evaluates to.

Points that differ in rates and prices only are evaluated together; each combination of
the other inputs is a scenario of its own, checked as any is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from estimator import catalog
from estimator.axes import Axis
from estimator.batch import NUMBERS, answers
from estimator.documents import Map
from estimator.errors import EstimatorError
from estimator.lanes import Floats, Index

LANES_PER_TASK = 8192
COMBINATIONS_PER_TASK = 8
"""Scenarios of one task: together some 0.1 s of work, what a task costs forgotten."""

Columns = dict[str, Any]
"""Name -> array with one value per row."""


@dataclass(frozen=True)
class Task:
    """Some combinations of structural inputs, each at some values of the rates."""

    number: int
    combinations: tuple[Mapping[str, Any], ...]
    """Path -> value to put into the document."""
    rates: Mapping[str, Floats]
    points: Index
    """The rows' places in the whole grid."""

    @property
    def num_lanes(self) -> int:
        """Points of each combination."""
        return len(self.points) // len(self.combinations)


def num_points(axes: Sequence[Axis]) -> int:
    """Return the size of the grid."""
    return prod(len(axis) for axis in axes)


def tasks(axes: Sequence[Axis]) -> Iterator[Task]:
    """Yield the grid in tasks, always the same ones in the same order."""
    lanes = _grid([axis for axis in axes if axis.rates is not None])
    combinations = _grid([axis for axis in axes if axis.rates is None])
    rated = [axis for axis in axes if axis.rates is not None]
    structural = [axis for axis in axes if axis.rates is None]
    width = min(LANES_PER_TASK, lanes.shape[1])
    height = max(1, min(COMBINATIONS_PER_TASK, LANES_PER_TASK // width))
    number = 0
    for top in range(0, combinations.shape[1], height):
        rows = combinations[:, top : top + height]
        chosen = tuple(
            {axis.path: axis.values[i] for axis, i in zip(structural, row, strict=True)}
            for row in rows.T
        )
        for left in range(0, lanes.shape[1], width):
            columns = lanes[:, left : left + width]
            yield Task(
                number,
                chosen,
                {
                    axis.path: axis.rates[i]
                    for axis, i in zip(rated, columns, strict=True)
                    if axis.rates is not None
                },
                _places(axes, rows, columns),
            )
            number += 1


def _grid(axes: Sequence[Axis]) -> Index:
    """Return each axis's index at every combination, shape (axes, combinations)."""
    shape = tuple(len(axis) for axis in axes)
    return np.indices(shape, dtype=np.intp).reshape(len(axes), prod(shape))


def _places(axes: Sequence[Axis], rows: Index, columns: Index) -> Index:
    """Return the places in the grid of rows x columns, the last axis fastest."""
    places = np.zeros((rows.shape[1], columns.shape[1]), dtype=np.intp)
    of_rows, of_columns = iter(rows), iter(columns)
    for axis in axes:
        index = (
            next(of_rows)[:, None] if axis.rates is None else next(of_columns)[None, :]
        )
        places = places * len(axis) + index
    return places.reshape(-1)


def inputs(axes: Sequence[Axis], points: Index) -> Columns:
    """Return the columns that tell each point's inputs."""
    made: Columns = {}
    for axis, index in zip(
        axes, np.unravel_index(points, [len(axis) for axis in axes]), strict=True
    ):
        made[axis.path] = np.array(axis.shown)[index]
    return made


def evaluate(document: Map, task: Task) -> Columns:
    """Return the rows of a task: point, answers, and why a point does not work."""
    size = task.num_lanes
    parts = [
        _combination(document, patches, task.rates, size)
        for patches in task.combinations
    ]
    return {
        "point": task.points,
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
    }


def _combination(
    document: Map, patches: Mapping[str, Any], rates: Mapping[str, Floats], size: int
) -> Columns:
    made = document.copy()
    try:
        for path, value in patches.items():
            catalog.apply("scenario", made, path.split("."), value, f"--vary {path}")
        scenario = catalog.build("scenario", made, str(document.get("name", "")))
        columns: Columns = dict(answers(scenario, rates, size))
    except EstimatorError as error:
        nothing = {name: np.full(size, np.nan) for name in NUMBERS}
        reason = np.full(size, one_line(error), dtype=object)
        return {**nothing, "fits": np.zeros(size, dtype=bool), "reason": reason}
    needs, has = columns["peak_bytes"], columns["hbm_bytes"]
    columns["fits"] = needs <= has
    columns["reason"] = np.full(size, "", dtype=object)
    for lane in np.flatnonzero(~columns["fits"]):
        text = f"needs {needs[lane] / 1e9:.1f} GB of {has[lane] / 1e9:.1f} GB"
        columns["reason"][lane] = text
    return columns


def one_line(error: EstimatorError) -> str:
    """Return a message in one line: what is wrong, or where if that says more."""
    where = "; ".join(place.partition(": ")[2] or place for place in error.where)
    return where or error.what
