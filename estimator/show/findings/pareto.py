"""Which plans are best in time or money: no other is both cheaper and faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from estimator.ground.words import TIME, Rung, counted, dollars, duration, rung
from estimator.show.findings.base import Curve, Plot


class Priced(Protocol):
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


def pareto(
    front: Sequence[Priced], others: Sequence[Priced], given: Priced | None
) -> Plot:
    """Show cost against time: the front as a line, a point per other plan.

    Parameters
    ----------
    front : sequence
        Plans that no other beats in both, the fastest first.
    given : optional
        The scenario's own plan.
    """
    wall = rung(max(plan.wall_s for plan in front), TIME)
    cost = counted(max(plan.cost_usd for plan in front), "USD")
    units = wall, cost
    curves = [_curve("best in time or cost", front, units, 0, is_front=True)]
    if others:
        curves.append(_curve("other plans that fit", others, units, 1))
    if given:
        curves.append(_curve("the scenario's own plan", [given], units, 5))
    return Plot(
        _said(front), f"wall time, {wall.unit}", f"cost, {cost.unit}", tuple(curves)
    )


def _curve(
    name: str,
    plans: Sequence[Priced],
    units: tuple[Rung, Rung],
    place: int,
    *,
    is_front: bool = False,
) -> Curve:
    wall, cost = units
    return Curve(
        name,
        tuple(plan.wall_s / wall.one for plan in plans),
        tuple(plan.cost_usd / cost.one for plan in plans),
        tuple(f"{plan.num_gpus:,} GPUs" for plan in plans),
        place,
        is_joined=is_front,
        has_words=is_front,
    )


def _said(front: Sequence[Priced]) -> str:
    fastest, cheapest = front[0], front[-1]
    told = [
        f"{dollars(plan.cost_usd)} in {duration(plan.wall_s)} on {plan.num_gpus:,} GPUs"
        for plan in (cheapest, fastest)
    ]
    if fastest is cheapest:
        return f"One plan is both the cheapest and the fastest: {told[0]}"
    return f"From {told[0]} to {told[1]}: in between, speed costs money"
