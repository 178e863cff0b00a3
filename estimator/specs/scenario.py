"""A scenario: model, cluster, plan, phases and price, all resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from estimator.specs.base import spec
from estimator.specs.economics import Power, Price, Programme
from estimator.specs.fit import check, structure
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
    programme: Programme | None = None
    """What the cost includes beside the final run; None: nothing."""
    recompute: Recompute = ()
    question: str = ""
    assumptions: tuple[str, ...] = ()
    """What the file's author assumed where sources are silent."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named patches, already applied where they were asked for."""

    def __post_init__(self) -> None:
        check(structure(self))

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
