"""Many scenarios that differ in rates and prices only, walked together in lanes.

A sweep's points, a distribution's draws, and a range's ends of constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from estimator.answer.soundness import sound
from estimator.answer.walk import NUMBERS, Walk
from estimator.ground.lanes import Floats, Index, in_agreement, lanes
from estimator.specs.base import Constant, with_lanes
from estimator.specs.scenario import Scenario

Asked = Callable[[Scenario, Index], Mapping[str, Any]]
"""A scenario whose rates are lanes, and which these are -> numbers by name."""


def in_lanes(
    scenario: Scenario, rates: Mapping[str, Floats], num_lanes: int, asked: Asked
) -> dict[str, Floats]:
    """Return what scenarios that differ in rates answer, one value per lane.

    Parameters
    ----------
    rates : mapping of str to array
        Dotted path -> one value per scenario, each already checked.
    asked : callable
        What is asked of them; called again for the lanes that take other branches.
    """
    columns: dict[str, Floats] = {}

    def evaluate(index: Index) -> Mapping[str, Any]:
        varied = scenario
        for path, values in rates.items():
            varied = with_lanes(varied, path, lanes(values[index]))
        return asked(varied, index)

    for index, made in in_agreement(evaluate, num_lanes):
        for name, value in made.items():
            columns.setdefault(name, np.empty(num_lanes))[index] = value
    return columns


def answers(
    scenario: Scenario, rates: Mapping[str, Floats], num_lanes: int
) -> dict[str, Floats]:
    """Return the columns of scenarios that differ in rates and prices only.

    Models, programs and memory are made once.

    Raises
    ------
    InfeasibleError
        If the parts of the scenario do not fit together.
    """
    if not num_lanes:
        return {name: np.empty(0) for name in NUMBERS}
    needed = Walk(scenario).memory_bytes()

    def asked(varied: Scenario, _: Index) -> Mapping[str, Any]:
        return Walk(varied, peak_bytes=needed).answer()._asdict()

    columns = in_lanes(scenario, rates, num_lanes, asked)
    ends = {name: (row.min(), row.max()) for name, row in columns.items()}
    sound(scenario.name, ends)
    return columns


def at_ends(found: Mapping[str, Constant], num_before: int = 1) -> dict[str, Floats]:
    """Return rates at which each constant is at its low, then at its high end.

    Two lanes belong to each, in order; in all others it has its value, as in those
    before the first constant's.
    """
    made = {}
    for index, (path, constant) in enumerate(found.items()):
        values = np.full(num_before + 2 * len(found), constant.value)
        first = num_before + 2 * index
        values[first : first + 2] = constant.low, constant.high
        made[path] = values
    return made
