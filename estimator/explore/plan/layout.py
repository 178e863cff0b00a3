"""Layers spread over stages by their work, in Megatron-LM's notation."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from estimator.explore.plan.elements import ElementCost, elements_of
from estimator.explore.plan.space import Shape
from estimator.ground.lanes import Index
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario


def balanced_layouts(scenario: Scenario, counts: set[int]) -> dict[int, str]:
    """Return for each number of stages the layout that spreads the work best.

    Contiguous stages with the least sum of eighth powers of their seconds under the
    scenario's own plan: nearly the least maximum, and the rest even, too.
    """
    plan, model = scenario.plan, scenario.model
    own = Shape(
        plan.tp, plan.cp, plan.ep, plan.etp, plan.micro_batch_size, scenario.recompute
    )
    made = elements_of(scenario, own)
    symbols = "E" + "t" * model.num_layers + "m" * model.num_mtp_modules + "L"
    if made is None:
        return dict.fromkeys(counts, EVEN)
    spent = iter(
        (made.rows[ElementCost.FORWARD] + made.rows[ElementCost.BACKWARD]).tolist()
    )
    seconds = [next(spent) + (next(spent) if name == "m" else 0) for name in symbols]
    until = np.concatenate([[0.0], np.cumsum(seconds)]) / sum(seconds)
    most = max(counts)
    size = len(symbols) + 1
    between = np.maximum(until[:, None] - until[None, :], 0.0) ** 8
    between[np.triu_indices(size)] = np.inf  # a stage holds something
    best = np.full(size, np.inf)
    best[0] = 0.0
    cuts: list[Index] = []
    for _ in range(most):
        total = best[None, :] + between
        cuts.append(np.argmin(total, axis=1))
        best = total.min(axis=1)
    return {count: _layout(symbols, cuts[:count]) for count in counts}


def _layout(symbols: str, cuts: list[Index]) -> str:
    """Return the notation of the stages that end with the last symbol."""
    end, stages = len(symbols), list[str]()
    for cut in reversed(cuts):
        start = int(cut[end])
        stages.append(symbols[start:end])
        end = start
    return compact(stages[::-1])


def compact(stages: list[str]) -> str:
    """Return the notation of stages, repeats written once.

    >>> compact(["Etttt", "tt", "tt", "tmL"])
    'Et*4|(t*2|)*2tmL'
    """
    made = []
    for stage, same in groupby(stages[:-1]):
        text, count = _runs(stage), len(list(same))
        made.append(f"({text}|)*{count}" if count > 1 else f"{text}|")
    return "".join(made) + _runs(stages[-1])


def _runs(stage: str) -> str:
    counted = [(symbol, len(list(same))) for symbol, same in groupby(stage)]
    return "".join(
        f"{symbol}*{count}" if count > 1 else symbol for symbol, count in counted
    )
