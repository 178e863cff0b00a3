"""A scenario: model, cluster, plan, phases and price, all resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from estimator.specs.base import spec
from estimator.specs.economics import Power, Price, Programme
from estimator.specs.hardware import Cluster
from estimator.specs.layout import EVEN, check_layout, parse_layout
from estimator.specs.model import Transformer
from estimator.specs.training import ParallelPlan, Phase, PrecisionField, Recompute


@spec
class Scenario:
    """One question, with everything that is needed to answer it."""

    name: str
    model: Transformer
    cluster: Cluster
    plan: ParallelPlan
    precision: PrecisionField
    phases: tuple[Phase, ...]
    price: Price
    power: Power
    programme: Programme | None = None
    """What the cost includes beside the final run; None: nothing."""
    recompute: Recompute = ()
    question: str = ""
    assumptions: tuple[str, ...] = ()
    """What the file's author assumed where sources are silent."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named patches, already applied where they were asked for."""

    def __post_init__(self) -> None:
        for field_path, problem in self._misfits():
            raise ValueError(f"{field_path}: {problem}")

    def _misfits(self) -> Iterator[tuple[str, str]]:
        """Yield what does not fit together, by the field to change first."""
        model, plan, num_gpus = self.model, self.plan, self.cluster.num_gpus
        if not any(phase.basis == "simulated" for phase in self.phases):
            yield "phases", "a scenario needs at least one simulated phase"
        width = plan.tp * plan.cp * plan.pp
        enough = -(-num_gpus // plan.gpu_multiple) * plan.gpu_multiple
        if num_gpus % width:
            yield (
                "plan.pp" if num_gpus % plan.pp else "plan.tp",
                f"tp {plan.tp} x pp {plan.pp}{f' x cp {plan.cp}' * (plan.cp > 1)} does "
                f"not divide num_gpus {num_gpus}; try num_gpus: {enough}",
            )
        elif num_gpus // plan.pp % (plan.ep * plan.etp):
            yield (
                "plan.ep",
                f"ep {plan.ep}{f' x etp {plan.etp}' * (plan.etp > 1)} does not divide "
                f"num_gpus / pp = {num_gpus // plan.pp}; try num_gpus: {enough}",
            )
        elif self.dp % (plan.dp_shard or 1):
            yield "plan.dp_shard", f"{plan.dp_shard} does not divide dp {self.dp}"
        if plan.ep > 1 and model.moe is None:
            yield "plan.ep", f"ep {plan.ep}, but {model.name!r} has no experts"
        elif model.moe and model.moe.num_experts % plan.ep:
            yield (
                "plan.ep",
                f"ep {plan.ep} does not divide {model.moe.num_experts} experts",
            )
        if model.attention.num_heads % plan.tp:
            yield (
                "plan.tp",
                f"tp {plan.tp} does not divide {model.attention.num_heads} heads",
            )
        if plan.stage_layout != EVEN:
            yield from self._layout_misfits()

    def _layout_misfits(self) -> Iterator[tuple[str, str]]:
        try:
            stages = parse_layout(self.plan.stage_layout)
        except ValueError as error:
            yield "plan.stage_layout", str(error)
            return
        if len(stages) % self.plan.pp or len(stages) < self.plan.pp:
            yield (
                "plan.stage_layout",
                f"it describes {len(stages)} stages, but pp is {self.plan.pp}; write "
                "another layout, or stage_layout: even",
            )
        try:
            check_layout(stages, self.model.num_layers, self.model.num_mtp_modules)
        except ValueError as error:
            yield "plan.stage_layout", str(error)

    @property
    def spacing(self) -> int:
        """How far ranks of a stage lie apart: 1, or pp where stages are neighbours."""
        plan = self.plan
        return min(plan.stride(axis, self.dp) for axis in ("cp", "dp")) // plan.tp

    @property
    def dp(self) -> int:
        """Data-parallel replicas of the non-expert weights."""
        plan = self.plan
        return self.cluster.num_gpus // (plan.tp * plan.cp * plan.pp)
