"""The range of an answer: what each constant does at its ends, put together.

Effects of independent constants add in squares, as the deviations of a sum do. A
constant's ends are about two and a half deviations of the triangle that ``uncertainty``
draws it from: 97 % of its draws of DeepSeek-V3's rental and owned cost lie in the
range, and 92 % of the whole programme's, whose constants are lopsided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from estimator.answer.bill import outcome
from estimator.specs.base import Constant, constants, with_value
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


def money_effects(scenario: Scenario, gpu_hours: float) -> dict[str, dict[str, Ends]]:
    """Return each outcome at a constant's low and high end, over the outcome itself.

    The first key is an outcome of :func:`estimator.answer.bill.outcome`, the second a
    path.
    """
    value = outcome(scenario, gpu_hours)
    made: dict[str, dict[str, Ends]] = {name: {} for name in value}
    for path, constant in money_constants(scenario).items():
        low, high = (
            outcome(with_value(scenario, path, end), gpu_hours)
            for end in (constant.low, constant.high)
        )
        for name, middle in value.items():
            if middle and low[name] != high[name]:
                made[name][path] = low[name] / middle, high[name] / middle
    return made


def ranges(
    scenario: Scenario,
    gpu_hours: float,
    hours_range: Ends,
    effects: Mapping[str, Mapping[str, Ends]],
) -> dict[str, Ends]:
    """Return low and high of GPU-hours and of every outcome.

    Parameters
    ----------
    hours_range : pair of float
        GPU-hours as the constants of the step move them.
    effects : mapping
        What :func:`money_effects` returns.
    """
    made = {"gpu_hours": hours_range}
    value = outcome(scenario, gpu_hours)
    low, high = (outcome(scenario, hours) for hours in hours_range)
    for name, middle in value.items():
        by_hours = (low[name] / middle, high[name] / middle) if middle else (1.0, 1.0)
        down, up = combined_range({"gpu_hours": by_hours, **effects[name]})
        made[name] = middle * down, middle * up
    return made
