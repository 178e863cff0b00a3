"""The plan that meets a deadline or a budget best, or what these are enough for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal

from estimator.answer.walk import Answer, Walk
from estimator.explore.plan.ranking import PlanRow
from estimator.ground.errors import InfeasibleError
from estimator.ground.units import DAY_S
from estimator.ground.words import dollars, duration, several, short
from estimator.specs.scenario import Scenario

NONE = 1e-9
"""The share of a run's tokens that stands for none of them."""
CLOSE = 1e-4
"""Relative difference up to which a limit is met."""
MOST_TRIED = 12


def answer(
    scenario: Scenario,
    rows: Sequence[PlanRow],
    deadline_s: float | None,
    budget_usd: float | None,
) -> PlanRow | None:
    """Return the cheapest row in time, or the fastest one within the budget.

    Raises
    ------
    InfeasibleError
        If none meets the question, with what the budget or the deadline is enough for.
    """
    if deadline_s is None and budget_usd is None:
        return None
    fitting = [
        row
        for row in rows
        if (deadline_s is None or row.wall_s <= deadline_s)
        and (budget_usd is None or row.cost_usd <= budget_usd)
    ]
    if not fitting:
        raise _refusal(scenario, rows, deadline_s, budget_usd)
    by_time = budget_usd is not None and deadline_s is None
    return min(fitting, key=lambda row: row.wall_s if by_time else row.cost_usd)


def _refusal(
    scenario: Scenario,
    rows: Sequence[PlanRow],
    deadline_s: float | None,
    budget_usd: float | None,
) -> InfeasibleError:
    asked, why, fix = [], [], []
    if budget_usd is not None:
        cheapest = min(rows, key=lambda row: row.cost_usd)
        asked.append(f"a budget of {dollars(budget_usd)}")
        why.append(f"the cheapest full run {_told(cheapest)}")
        if cheapest.cost_usd > budget_usd:
            tokens = _enough_for(scenario, cheapest, "cost_usd", budget_usd)
            why.append(f"{dollars(budget_usd)} buy {tokens}")
            fix.append(f"--budget {_enough(cheapest.cost_usd)}")
    if deadline_s is not None:
        fastest = min(rows, key=lambda row: row.wall_s)
        asked.append(f"a deadline of {duration(deadline_s)}")
        why.append(f"the fastest full run {_told(fastest)}")
        if fastest.wall_s > deadline_s:
            tokens = _enough_for(scenario, fastest, "wall_s", deadline_s)
            why.append(f"{duration(deadline_s)} are enough for {tokens}")
            fix.append(f"--deadline {_enough(fastest.wall_s, DAY_S)}")
    return InfeasibleError(
        f"no plan meets {' and '.join(asked)}",
        why="; ".join(why),
        fix=", ".join([*fix, "fewer tokens, or --gpus with other numbers"]),
    )


def _enough(least: float, one: float = 1.0) -> str:
    """Return the least limit in four digits, in units of ``one``, that is kept.

    >>> _enough(2026755.2), _enough(4.568, 86400.0), _enough(0.3)
    ('2027000', '0.00005288', '0.3')
    """
    exact = Decimal(repr(least)) / Decimal(repr(one))
    return f"{Context(prec=4, rounding=ROUND_CEILING).plus(exact):f}"


def _told(row: PlanRow) -> str:
    return (
        f"costs {dollars(row.cost_usd)} and takes {duration(row.wall_s)} on "
        f"{row.num_gpus:,} GPUs"
    )


def _enough_for(scenario: Scenario, row: PlanRow, name: str, limit: float) -> str:
    """Return in words how many of a run's tokens a plan trains within a limit."""
    share = affordable(scenario, row, name, limit)
    whole = sum(phase.num_tokens or 0.0 for phase in scenario.phases)
    return f"{short(share * whole)} of its {several(short(whole), 'token')}"


def affordable(scenario: Scenario, row: PlanRow, name: str, limit: float) -> float:
    """Return the share of a run's tokens that a plan trains within a limit.

    What does not grow with tokens, as phases whose hours are published or the people of
    a programme, is paid first. All simulated phases are cut by the same share.

    Parameters
    ----------
    name : str
        ``cost_usd`` or ``wall_s``.
    """
    base = row.of(scenario)
    models = Walk(base).models

    def spent(share: float) -> float:
        phases = tuple(
            replace(phase, num_tokens=phase.num_tokens * share)
            if phase.num_tokens
            else phase
            for phase in base.phases
        )
        cut = Walk(replace(base, phases=phases), models, row.memory_bytes)
        made: Answer = cut.answer()
        return float(getattr(made, name))

    (low, least), (high, most) = (NONE, spent(NONE)), (1.0, spent(1.0))
    if least >= limit:
        return 0.0
    share = low
    for _ in range(MOST_TRIED):  # nearly a straight line
        share = low + (limit - least) * (high - low) / (most - least)
        found = spent(share)
        if abs(found / limit - 1) < CLOSE:
            break
        if found < limit:
            low, least = share, found
        else:
            high, most = share, found
    return share
