"""Plans and what they take, and what a person asks of many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from estimator.batch import Batch
from estimator.errors import EstimatorError, InfeasibleError
from estimator.specs.scenario import Scenario
from estimator.wording import dollars, duration

if TYPE_CHECKING:
    import pandas as pd


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


@dataclass(frozen=True)
class Standing:
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
    """The best first; all fit in memory."""
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
    answer: PlanRow | None = None
    """What meets the deadline with the fewest dollars, or the budget soonest."""
    cost_basis: str = ""
    """Whose dollars they are, in words."""
    standing: Standing | None = None
    """How the scenario's own plan stands among all, if that was asked."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def frame(self) -> pd.DataFrame:
        """Return the plans as a pandas frame, one column per field."""
        import pandas as pd

        rows = [vars(row) | row.plan for row in self.plans]
        return pd.DataFrame(rows).drop(columns="plan")


def evaluated(scenario: Scenario) -> PlanRow | None:
    """Return what a scenario's plan takes, or None if its parts do not fit together."""
    try:
        made = Batch(scenario).answer()
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
    )


def pareto(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """Return the rows that no other beats in both time and cost, the fastest first."""
    kept: list[PlanRow] = []
    for row in sorted(rows, key=lambda row: (row.wall_s, row.cost_usd)):
        if not kept or row.cost_usd < kept[-1].cost_usd:
            kept.append(row)
    return kept


def answer(
    rows: Sequence[PlanRow], deadline_s: float | None, budget_usd: float | None
) -> PlanRow | None:
    """Return the cheapest row in time, or the fastest one within the budget."""
    if deadline_s is None and budget_usd is None:
        return None
    fitting = [
        row
        for row in rows
        if (deadline_s is None or row.wall_s <= deadline_s)
        and (budget_usd is None or row.cost_usd <= budget_usd)
    ]
    if not fitting:
        best = min(rows, key=lambda row: row.wall_s)
        raise InfeasibleError(
            "no plan meets this",
            why=f"the fastest one takes {duration(best.wall_s)} and "
            f"{dollars(best.cost_usd)} on {best.num_gpus:,} GPUs",
            fix="--gpus with other numbers",
        )
    by_time = budget_usd is not None and deadline_s is None
    return min(fitting, key=lambda row: row.wall_s if by_time else row.cost_usd)
