"""How a scenario's own plan stands among all that fit, from a sample of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from estimator.answer.walk import Walk
from estimator.explore.plan.ranking import PlanRow, PlanStanding, evaluated
from estimator.explore.plan.space import Candidate, planned
from estimator.ground.errors import EstimatorError
from estimator.ground.lanes import Floats
from estimator.specs.scenario import Scenario


def standing(
    scenario: Scenario,
    candidates: Sequence[Candidate],
    bound_s: Floats,
    given: PlanRow,
    num_drawn: int,
    seed: int,
) -> PlanStanding:
    """Return how many of some drawn plans are better than the given one.

    On the same GPUs a plan is better in dollars where it is in time. Plans whose bound
    is above the given plan are not better: of these only memory is looked at.
    """
    rng = np.random.default_rng(seed)
    size = min(num_drawn, len(candidates))
    drawn = rng.choice(len(candidates), size, replace=False).tolist()
    num_fitting = num_better = 0
    for index in sorted(drawn, key=lambda index: _program(candidates[index])):
        if bound_s[index] >= given.wall_s:
            num_fitting += _fits(scenario, candidates[index])
            continue
        row = _row(scenario, candidates[index])
        if row:
            num_fitting += 1
            num_better += row.wall_s < given.wall_s
    return PlanStanding(
        size, num_fitting, num_better, num_better / num_fitting if num_fitting else 0.0
    )


def _program(candidate: Candidate) -> tuple[str, ...]:
    """Return what plans next to one another share, to be made once."""
    shape, pipe, _ = candidate
    replica = shape.degrees().width * shape.micro_batch_size
    return (*map(str, pipe), str(replica))


def _row(scenario: Scenario, candidate: Candidate) -> PlanRow | None:
    try:
        return evaluated(planned(scenario, candidate), if_it_fits=True)
    except ValueError:
        return None


def _fits(scenario: Scenario, candidate: Candidate) -> bool:
    try:
        needed = Walk(planned(scenario, candidate)).memory_bytes()
    except (EstimatorError, ValueError):
        return False
    return needed <= scenario.usable_bytes
