"""The range of an answer: what each constant does at its ends, put together.

Effects of independent constants add in squares, as the deviations of a sum do. A
constant's ends are about two and a half deviations of the triangle that ``uncertainty``
draws it from: 97 % of its draws of DeepSeek-V3's rental and owned cost lie in the
range, and 92 % of the whole programme's, whose constants are lopsided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from estimator.answer.bill import outcome
from estimator.answer.in_lanes import at_ends, in_lanes
from estimator.answer.step_model import StepModel
from estimator.ground.lanes import Floats, Index, lanes
from estimator.specs.base import Constant, constants
from estimator.specs.scenario import Scenario

METHOD = (
    "each sourced constant at its low and high end, all others at their values; "
    "effects added in squares of their logarithms: more than nine in ten draws of "
    "the command uncertainty lie inside"
)
MONEY = ("price", "power", "programme")
"""Parts of a scenario whose constants move dollars, joules and carbon, no second."""

Ends = tuple[float, float]
"""Low and high."""


def combined_range(effects: Mapping[str, Ends]) -> Ends:
    """Return the factors of the whole range: independent effects add in squares.

    >>> low, high = combined_range({"a": (0.9, 1.2), "b": (1.0, 1.0)})
    >>> round(low, 6), round(high, 6)
    (0.9, 1.2)
    """
    down = up = 0.0
    for pair in effects.values():
        logs = [math.log(ratio) if ratio > 0 else -math.inf for ratio in pair]
        down += min(0.0, *logs) ** 2
        up += max(0.0, *logs) ** 2
    return math.exp(-math.sqrt(down)), math.exp(math.sqrt(up))


def money_constants(scenario: Scenario) -> dict[str, Constant]:
    """Return the constants with a range that move money and energy, by path."""
    return {
        path: constant
        for part in MONEY
        for path, constant in constants(getattr(scenario, part), part)
        if constant.low < constant.high
    }


def step_effects(model: StepModel, num_microbatches: int) -> dict[str, Ends]:
    """Return the step at each constant's low and high end, over the step itself."""
    count = model.simulated(num_microbatches)[0].num_microbatches
    found = dict(constants(model.scenario.cluster, "cluster"))

    def asked(varied: Scenario, _: Index) -> dict[str, float]:
        return {"step_s": StepModel(varied, model.seq_len).step_s(count)}

    num_lanes = 1 + 2 * len(found)
    step_s = in_lanes(model.scenario, at_ends(found), num_lanes, asked)["step_s"]
    return dict(zip(found, _pairs(step_s[1:], float(step_s[0])), strict=True))


class Money(NamedTuple):
    """What moves dollars, joules and carbon."""

    effects: dict[str, dict[str, Ends]]
    """Outcome -> path of a constant -> the outcome at its ends, over the outcome."""
    ranges: dict[str, Ends]
    """Low and high of each outcome, by GPU-hours as well."""


def money(scenario: Scenario, gpu_hours: float, hours_range: Ends) -> Money:
    """Return what GPU-hours and the constants of money do to each outcome.

    Parameters
    ----------
    hours_range : pair of float
        GPU-hours as the constants of the step move them.
    """
    found = money_constants(scenario)
    rates = at_ends(found, num_before=3)
    hours = np.full(3 + 2 * len(found), gpu_hours)
    hours[1:3] = hours_range

    def asked(varied: Scenario, index: Index) -> dict[str, float]:
        varied_hours: Any = lanes(hours[index])
        return outcome(varied, varied_hours).numbers()

    effects: dict[str, dict[str, Ends]] = {}
    ranges: dict[str, Ends] = {}
    for name, values in in_lanes(scenario, rates, len(hours), asked).items():
        middle = float(values[0])
        if not middle:
            effects[name], ranges[name] = {}, (0.0, 0.0)
            continue
        by_hours, *ends = _pairs(values[1:], middle)
        effects[name] = {
            path: pair
            for path, pair in zip(found, ends, strict=True)
            if pair[0] != pair[1]
        }
        down, up = combined_range({"gpu_hours": by_hours, **effects[name]})
        ranges[name] = middle * down, middle * up
    return Money(effects, ranges)


def _pairs(values: Floats, middle: float) -> list[Ends]:
    """Return low and high of each constant, over the value in the middle."""
    return [
        (float(low) / middle, float(high) / middle)
        for low, high in values.reshape(-1, 2)
    ]
