"""Which plans are best in time or money: no other is both cheaper and faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from estimator.findings.base import Curve, Plot
from estimator.units import DAY_S
from estimator.wording import short

MILLION = 1e6


class Plan(Protocol):
    """What a parallel plan takes."""

    @property
    def num_gpus(self) -> int:
        """GPUs that it runs on."""

    @property
    def wall_s(self) -> float:
        """Seconds of the run."""

    @property
    def cost_usd(self) -> float:
        """Dollars of the run."""


def pareto(front: Sequence[Plan], others: Sequence[Plan], given: Plan | None) -> Plot:
    """Show cost against time: the front as a line, a point per other plan.

    Parameters
    ----------
    front : sequence
        Plans that no other beats in both, the fastest first.
    given : optional
        The scenario's own plan.
    """
    curves = [_curve("best in time or cost", front, 0, is_front=True)]
    if others:
        curves.append(_curve("other plans that fit", others, 1))
    if given:
        curves.append(_curve("the scenario's own plan", [given], 5))
    return Plot(_said(front), "wall time, days", "cost, million USD", tuple(curves))


def _curve(
    name: str, plans: Sequence[Plan], place: int, *, is_front: bool = False
) -> Curve:
    return Curve(
        name,
        tuple(plan.wall_s / DAY_S for plan in plans),
        tuple(plan.cost_usd / MILLION for plan in plans),
        tuple(f"{plan.num_gpus:,} GPUs" for plan in plans),
        place,
        is_joined=is_front,
        has_words=is_front,
    )


def _said(front: Sequence[Plan]) -> str:
    fastest, cheapest = front[0], front[-1]
    told = [
        f"${short(plan.cost_usd)} in {plan.wall_s / DAY_S:.1f} days on "
        f"{plan.num_gpus:,} GPUs"
        for plan in (cheapest, fastest)
    ]
    if fastest is cheapest:
        return f"One plan is both the cheapest and the fastest: {told[0]}"
    return f"From {told[0]} to {told[1]}: in between, speed costs money"
