"""The best parallel plans for a model on a cluster, within memory.

Every plan gets a closed-form lower bound (``bound.py``), and the most promising
ones the same evaluation as any scenario. What is left out has a bound: where that is
above the last plan shown, the answer is proven to be the best of all that were
considered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypedDict, Unpack

import numpy as np

from estimator.answer.bill import basis_title
from estimator.answer.walk import Walk
from estimator.catalog import loading
from estimator.catalog.published import is_elsewhere
from estimator.explore.plan import ranking
from estimator.explore.plan.answer import answer
from estimator.explore.plan.bound import Bounds
from estimator.explore.plan.guess import guess
from estimator.explore.plan.layout import balanced_layouts
from estimator.explore.plan.ranking import PlanRow, Plans, PlanStanding, evaluated
from estimator.explore.plan.space import (
    ZERO,
    Candidate,
    Pipe,
    pipes,
    placement,
    planned,
    shapes,
)
from estimator.explore.plan.standing import standing
from estimator.ground.errors import InfeasibleError, InputError
from estimator.ground.lanes import Floats
from estimator.ground.units import HOUR_S
from estimator.specs.base import unchecked
from estimator.specs.fit import around
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario

OBJECTIVES = ("cost_usd", "wall_s")
MOST_EVALUATED = 240
"""Plans evaluated in full for one number of GPUs."""
MAX_TOP = 1000
MAX_DRAWN = 10_000
LEARNED_AT_ONCE = 8
"""Evaluated plans after which the others are ordered anew."""
GPU_FACTORS = (0.25, 0.5, 1, 2, 4, 8)
"""Numbers of GPUs tried for a deadline or a budget, over the scenario's own."""

Progress = Callable[[int, int], None]
"""Told the plans that are evaluated and the most that may be."""
_Bounded = tuple[list[Candidate], Floats, int]


class Searching(TypedDict, total=False):
    """How plans are looked for."""

    num_drawn: int
    """Say how the scenario's own plan stands among so many drawn from all; 0: do not.
    """
    seed: int
    """The same seed draws the same plans."""
    most_evaluated: int | None
    """Plans evaluated in full for each number of GPUs; unless given,
    :data:`MOST_EVALUATED`."""
    progress: Progress | None
    """Told how far it is."""


@dataclass(frozen=True)
class _Found:
    rows: tuple[PlanRow, ...]
    num_considered: int
    num_feasible: int
    num_evaluated: int
    is_proven: bool


def plan(
    scenario: loading.Named | Scenario,
    overrides: Sequence[str] = (),
    *,
    gpus: Sequence[int] = (),
    objective: str = "cost_usd",
    top: int = 10,
    deadline_s: float | None = None,
    budget_usd: float | None = None,
    **searching: Unpack[Searching],
) -> Plans:
    """Return the best plans for a scenario's model, cluster and phases.

    Parameters
    ----------
    scenario : str, path, mapping or Scenario
        A built-in name, a variant, a file, what a file would hold, or one resolved.
    gpus : sequence of int
        Numbers of GPUs; the scenario's own by default, and from a quarter to eight
        times as many where a deadline or a budget asks for their number.
    objective : str
        ``cost_usd`` or ``wall_s``.
    top : int
        Plans to return.
    deadline_s, budget_usd : float, optional
        Ask for the cheapest plan in time, or the fastest one within the budget.
    **searching
        ``num_drawn``, ``seed``, ``most_evaluated`` and ``progress``: see
        :class:`Searching`.

    Raises
    ------
    InputError
        If the request cannot work.
    InfeasibleError
        If no plan fits in memory.
    """
    _check(objective, top, gpus, deadline_s, budget_usd)
    scenario = loading.load_scenario(scenario, overrides)
    own, per_node = scenario.cluster.num_gpus, scenario.cluster.node.gpus_per_node
    _check_nodes(gpus, per_node)
    asks = deadline_s is not None or budget_usd is not None
    numbers = list(gpus) or [
        _whole(int(own * factor), per_node) for factor in GPU_FACTORS if asks
    ]
    numbers = sorted({*numbers} or {own})
    given = evaluated(scenario)
    found, stands = _searched(scenario, given, numbers, top, **searching)
    every = [row for one in found for row in one.rows]
    if given and given.fits_with_headroom and own in numbers:
        every.append(given)
    rows = sorted(
        ranking.distinct(every),
        key=lambda row: (getattr(row, objective), row.num_gpus),
    )
    if not rows:
        raise _none_fits(scenario, given, numbers)
    return Plans(
        scenario=scenario.name,
        objective=objective,
        plans=tuple(rows[:top]),
        num_considered=sum(one.num_considered for one in found),
        num_feasible=sum(one.num_feasible for one in found),
        num_evaluated=sum(one.num_evaluated for one in found),
        is_proven=all(one.is_proven for one in found),
        given=given,
        pareto=tuple(ranking.pareto(rows)),
        memory_headroom=scenario.memory_headroom.value,
        answer=answer(scenario, rows, deadline_s, budget_usd),
        cost_basis=basis_title(scenario),
        standing=stands,
    )


def _searched(
    scenario: Scenario,
    given: PlanRow | None,
    numbers: Sequence[int],
    top: int,
    *,
    num_drawn: int = 0,
    seed: int = 0,
    most_evaluated: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[_Found], PlanStanding | None]:
    """Return what is found on each number of GPUs, and how the own plan stands."""
    _check_draws(num_drawn, seed)
    own = scenario.cluster.num_gpus
    if num_drawn and not (given and given.fits and own in numbers):
        raise InfeasibleError(
            f"the own plan of {scenario.name} stands nowhere",
            why="it does not fit, or not on these numbers of GPUs",
            fix=f"--gpus {own}, or no --standing",
        )
    found: list[_Found] = []
    stands: PlanStanding | None = None
    most = most_evaluated or MOST_EVALUATED
    for done, number in enumerate(numbers):
        tell = partial(_tell, progress, done * most, len(numbers) * most)
        tell(0)
        target = _on(scenario, number)
        bounded = _bounded(target)
        candidates, bound_s, _ = bounded
        found.append(_search(target, bounded, top, most, tell))
        if given and num_drawn and number == own:
            stands = standing(scenario, candidates, bound_s, given, num_drawn, seed)
        tell(most)
    return found, stands


def _none_fits(
    scenario: Scenario, given: PlanRow | None, numbers: Sequence[int]
) -> InfeasibleError:
    if given is None:  # perhaps no plan can be right: say what is wrong
        Walk(scenario).answer()
    return InfeasibleError(
        f"no plan of {scenario.model.name} on "
        f"{', '.join(map(str, numbers))} GPUs fits in memory",
        why=f"{scenario.memory_headroom.value:.1%} of it are left free",
        fix="--gpus with more, a GPU with more memory, or less memory_headroom",
    )


def _check(
    objective: str,
    top: int,
    gpus: Sequence[int],
    deadline_s: float | None,
    budget_usd: float | None,
) -> None:
    if objective not in OBJECTIVES:
        raise InputError(
            f"the objective is {' or '.join(OBJECTIVES)}, not {objective!r}"
        )
    if not 1 <= top <= MAX_TOP:
        raise InputError(f"--top is 1 to {MAX_TOP}, not {top}")
    for name, value in (("deadline", deadline_s), ("budget", budget_usd)):
        if value is not None and not 0 < value < inf:
            raise InputError(f"--{name} is positive and finite, not {value}")
    if any(number < 1 or number > 10**7 for number in gpus):
        raise InputError("--gpus are 1 to 10,000,000")


def _whole(num_gpus: int, per_node: int) -> int:
    """Return the nearest number of GPUs that are whole nodes, or a part of one."""
    return max(1, num_gpus) if num_gpus < per_node else around(num_gpus, per_node)[0]


def _check_nodes(gpus: Sequence[int], per_node: int) -> None:
    for number in gpus:
        if number > per_node and number % per_node:
            near = sorted(around(number, per_node), reverse=True)
            raise InputError(
                f"{number} GPUs are not whole nodes of {per_node}",
                fix=" or ".join(f"--gpus {count}" for count in near),
            )


def _check_draws(num_drawn: int, seed: int) -> None:
    if not 0 <= num_drawn <= MAX_DRAWN:
        raise InputError(f"--standing is 0 to {MAX_DRAWN:,}, not {num_drawn:,}")
    if seed < 0:
        raise InputError(f"a seed is not negative, got {seed}")


def _on(scenario: Scenario, num_gpus: int) -> Scenario:
    """Return the scenario on another number of GPUs, its own plan not checked."""
    if num_gpus == scenario.cluster.num_gpus:
        return scenario
    cluster = unchecked(scenario.cluster, num_gpus=num_gpus)
    alone = unchecked(
        scenario.plan,
        tp=1,
        cp=1,
        pp=1,
        ep=1,
        etp=1,
        dp_shard=0,
        schedule="1f1b",
        stages_per_rank=None,
        stage_layout=EVEN,
    )
    made: Scenario = unchecked(scenario, cluster=cluster, plan=alone)
    return made


def _tell(progress: Progress | None, before: int, total: int, count: int) -> None:
    if progress:
        progress(before + count, total)


def _search(
    scenario: Scenario,
    bounded: _Bounded,
    top: int,
    most: int,
    tell: Callable[[int], None],
) -> _Found:
    """Evaluate the plans that promise most, until the rest cannot be better."""
    candidates, bound_s, num_considered = bounded
    guessed = guess(candidates, bound_s)
    orders = [bound_s]
    left = np.ones(len(candidates), dtype=bool)
    rows: list[PlanRow] = []
    num_evaluated = num_tried = 0
    while left.any() and num_evaluated < most:
        last_s = rows[top - 1].wall_s if len(rows) >= top else 0
        if last_s and bound_s[left].min() >= last_s:
            break
        by_s = orders[num_tried % len(orders)]
        index = int(np.argmin(np.where(left, by_s, np.inf)))
        left[index] = False
        row = evaluated(planned(scenario, candidates[index]), if_it_fits=True)
        num_tried += 1
        if row is None:
            continue
        num_evaluated += 1
        tell(num_evaluated)
        guessed.learn(index, row.wall_s)
        if num_evaluated % LEARNED_AT_ONCE == 0:
            orders = [guessed.expected_s(), guessed.hoped_s()] * 3 + [bound_s]
        rows = ranking.distinct([*rows, row])
    last_s = rows[min(top, len(rows)) - 1].wall_s if rows else 0.0
    is_proven = not left.any() or bool(rows and bound_s[left].min() >= last_s)
    return _Found(
        tuple(rows[:top]), num_considered, len(candidates), num_evaluated, is_proven
    )


def _bounded(scenario: Scenario) -> _Bounded:
    """Return the plans that may fit, the least wall time of each, and how many in all.

    Phases that are not simulated take the same time under every plan, but where
    their hours follow the plan's to another GPU: these have no bound.
    """
    bounds, ways = Bounds(scenario, scenario.cluster.num_gpus), _ways(scenario)
    fixed_s = sum(
        phase.gpu_hours or 0.0
        for phase in scenario.phases
        if not is_elsewhere(scenario, phase)
    )
    fixed_s *= HOUR_S / scenario.cluster.num_gpus
    candidates, bound_s, num_considered = [], [], 0
    for shape in shapes(scenario):
        of_shape = bounds.of_shape(shape)
        num_considered += len(ways) * len(ZERO)
        for pipe in ways if of_shape else ():
            for bound in of_shape.of_pipe(pipe) if of_shape else ():
                if bound.memory_bytes <= scenario.usable_bytes:
                    candidates.append(Candidate(shape, pipe, bound.zero))
                    bound_s.append(bound.wall_s + fixed_s)
    return candidates, np.array(bound_s), num_considered


def _ways(scenario: Scenario) -> list[Pipe]:
    """Return the pipelines with layers spread over their stages by their work."""
    placed = {pipe: placement(pipe) for pipe in pipes(scenario)}
    counts = {found.num_stages for found in placed.values() if found}
    layouts = balanced_layouts(scenario, counts)
    return [
        pipe._replace(layout=layouts[found.num_stages])
        for pipe, found in placed.items()
        if found
    ]
