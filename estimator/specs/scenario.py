"""A scenario: model, cluster, plan, phases and price, all resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from estimator.specs.base import spec
from estimator.specs.economics import Power, Price
from estimator.specs.hardware import Cluster
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
    recompute: Recompute = ()
    question: str = ""
    assumptions: tuple[str, ...] = ()
    """What the file's author assumed where sources are silent."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named patches, already applied where they were asked for."""

    def __post_init__(self) -> None:
        plan, cluster = self.plan, self.cluster
        if not self.phases:
            raise ValueError("a scenario needs at least one phase")
        width = plan.tp * plan.pp
        if cluster.num_gpus % width:
            raise ValueError(
                f"num_gpus {cluster.num_gpus} is not a multiple of tp {plan.tp} x "
                f"pp {plan.pp}; try num_gpus: {-(-cluster.num_gpus // width) * width}"
            )
        group = cluster.num_gpus // plan.pp
        if group % plan.ep:
            raise ValueError(
                f"ep {plan.ep} does not divide num_gpus / pp = {group}"
            )
        if plan.ep > 1 and self.model.moe is None:
            raise ValueError(f"ep {plan.ep}, but {self.model.name!r} has no experts")
        if self.model.moe and self.model.moe.num_experts % plan.ep:
            raise ValueError(
                f"ep {plan.ep} does not divide {self.model.moe.num_experts} experts"
            )
        for size, name in (
            (self.model.attention.num_heads, "heads"),
            (self.model.mlp.ffn_hidden_size, "ffn_hidden_size"),
        ):
            if size % plan.tp:
                raise ValueError(f"tp {plan.tp} does not divide {size} {name}")

    @property
    def dp(self) -> int:
        """Data-parallel replicas of the non-expert weights."""
        return self.cluster.num_gpus // (self.plan.tp * self.plan.pp)
