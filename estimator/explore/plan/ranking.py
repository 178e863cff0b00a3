"""Plans and what they take, and what a person asks of many of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from estimator.answer.walk import Walk
from estimator.ground.errors import EstimatorError
from estimator.specs.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-9
"""Relative difference up to which two times are one."""


@dataclass(frozen=True)
class PlanRow:
    """A plan, and what it takes."""

    plan: dict[str, Any]
    num_gpus: int
    step_s: float
    wall_s: float
    gpu_hours: float
    cost_usd: float
    mfu: float
    memory_bytes: float
    fits: bool
    fits_with_headroom: bool

    @property
    def overrides(self) -> tuple[str, ...]:
        """The ``PATH=VALUE`` patches that give a scenario this plan."""
        patches = {f"plan.{name}": value for name, value in self.plan.items()}
        modules = ",".join(patches.pop("plan.recompute"))
        del patches["plan.dp"]  # follows from the others
        return (
            f"cluster.num_gpus={self.num_gpus}",
            *(
                f"{path}={'null' if value is None else value}"
                for path, value in patches.items()
            ),
            "plan.dp_shard=0",
            f"recompute={f'[{modules}]' if modules else 'none'}",
        )

    def of(self, scenario: Scenario) -> Scenario:
        """Return the scenario under this plan."""
        sizes = {name: value for name, value in self.plan.items() if name != "dp"}
        modules = tuple(sizes.pop("recompute"))
        return replace(
            scenario,
            cluster=replace(scenario.cluster, num_gpus=self.num_gpus),
            plan=replace(scenario.plan, dp_shard=0, **sizes),
            recompute=modules,
        )


@dataclass(frozen=True)
class PlanStanding:
    """A plan among others that were drawn at random, each as likely."""

    num_drawn: int
    num_fitting: int
    """Of those drawn: their parts fit together, and they fit in memory."""
    num_better: int
    """Of those that fit: cheaper than the plan."""
    share_better: float
    """Of those that fit; its standard error is about sqrt(share / fitting)."""


@dataclass(frozen=True)
class Plans:
    """The best plans, and how far the answer is proven."""

    scenario: str
    objective: str
    plans: tuple[PlanRow, ...]
    """The best first, no two of them equal in time; all fit with headroom."""
    num_considered: int
    num_feasible: int
    """Plans whose parts fit together and whose least memory fits."""
    num_evaluated: int
    is_proven: bool
    """No plan that was left out can be better than the last one shown."""
    given: PlanRow | None
    """The scenario's own plan."""
    pareto: tuple[PlanRow, ...]
    """Per number of GPUs the best plan, where no other is both cheaper and faster."""
    memory_headroom: float = 0.0
    """Share of the GPU's memory that every plan leaves free."""
    answer: PlanRow | None = None
    """What meets the deadline with the fewest dollars, or the budget soonest."""
    cost_basis: str = ""
    """Whose dollars they are, in words."""
    standing: PlanStanding | None = None
    """How the scenario's own plan stands among all, if that was asked."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def frame(self) -> pd.DataFrame:
        """Return the plans as a pandas frame, one column per field."""
        import pandas as pd

        rows = [vars(row) | row.plan for row in self.plans]
        return pd.DataFrame(rows).drop(columns="plan")


def evaluated(scenario: Scenario, *, if_it_fits: bool = False) -> PlanRow | None:
    """Return what a scenario's plan takes, or None if its parts do not fit together.

    Parameters
    ----------
    if_it_fits : bool
        None, too, if it does not fit with headroom: memory is looked at first.
    """
    batch = Walk(scenario)
    try:
        if if_it_fits and batch.memory_bytes() > scenario.usable_bytes:
            return None
        made = batch.answer()
    except (EstimatorError, ValueError):
        return None
    plan = scenario.plan
    return PlanRow(
        plan={
            "tp": plan.tp,
            "cp": plan.cp,
            "pp": plan.pp,
            "ep": plan.ep,
            "etp": plan.etp,
            "dp": scenario.dp,
            "zero": plan.zero,
            "schedule": plan.schedule,
            "stages_per_rank": plan.stages_per_rank,
            "stage_layout": plan.stage_layout,
            "micro_batch_size": plan.micro_batch_size,
            "recompute": list(scenario.recompute),
        },
        num_gpus=scenario.cluster.num_gpus,
        step_s=made.step_s,
        wall_s=made.wall_s,
        gpu_hours=made.gpu_hours,
        cost_usd=made.cost_usd,
        mfu=made.mfu,
        memory_bytes=made.peak_bytes,
        fits=made.peak_bytes <= made.hbm_bytes,
        fits_with_headroom=made.peak_bytes <= scenario.usable_bytes,
    )


def distinct(rows: Iterable[PlanRow]) -> list[PlanRow]:
    """Return rows of which no two take the same time on the same GPUs, by time.

    Plans that are equal but for their names are one row: that with the least memory.
    """
    kept: list[PlanRow] = []
    for row in sorted(rows, key=lambda row: (row.num_gpus, row.step_s, row.wall_s)):
        if not kept or not _are_twins(kept[-1], row):
            kept.append(row)
        elif row.memory_bytes < kept[-1].memory_bytes:
            kept[-1] = row
    return sorted(kept, key=lambda row: row.wall_s)


def _are_twins(one: PlanRow, other: PlanRow) -> bool:
    return one.num_gpus == other.num_gpus and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=SAME)
        for name in ("step_s", "wall_s")
    )


def pareto(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """Return the rows that no other beats in both time and cost, the fastest first."""
    kept: list[PlanRow] = []
    for row in sorted(rows, key=lambda row: (row.wall_s, row.cost_usd)):
        if not kept or row.cost_usd < kept[-1].cost_usd:
            kept.append(row)
    return kept
