"""A scenario: model, cluster, plan, phases and price, all resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from estimator.specs.base import IS_REFERENCE, Constant, ConstantOf, Line, spec
from estimator.specs.defaults import default
from estimator.specs.economics import Power, Price, Programme
from estimator.specs.fit import check, structure
from estimator.specs.hardware import Cluster
from estimator.specs.model import Transformer
from estimator.specs.software import Software
from estimator.specs.training import ParallelPlan, Phase, PrecisionField, Recompute

Headroom = Annotated[Constant, ConstantOf("1", most=0.5, noun="a headroom")]
"""Memory that a plan leaves free: what the allocator cuts into pieces that are too
small, and what libraries take beside the context and buffers that are counted. A share:
who leaves half of it free would buy half the GPU."""


@spec
class Assumed:
    """What was assumed, and what it speaks of."""

    text: str
    about: tuple[str, ...] = ()
    """Dotted paths; where a derived scenario has other values there, it goes. Without
    any it goes with the model and the cluster."""


def _assumed(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


AssumedField = Annotated[
    Assumed, BeforeValidator(_assumed, json_schema_input_type=str | Assumed)
]


def _flat(variants: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    for name, patch in variants.items():
        if any(path.partition(".")[0] == "variants" for path in patch):
            raise ValueError(f"the variant {name!r} cannot have variants of its own")
    return variants


Variants = Annotated[Mapping[str, Mapping[str, Any]], AfterValidator(_flat)]


@spec
class Setting:
    """What the model trains on and how: all else that a step's time follows from."""

    cluster: Cluster
    software: Software
    plan: ParallelPlan
    precision: PrecisionField
    recompute: Recompute = ()


@spec
class Scenario:
    """One question, with everything that is needed to answer it."""

    name: Line
    model: Transformer
    cluster: Cluster
    software: Software
    plan: ParallelPlan
    precision: PrecisionField
    phases: Annotated[tuple[Phase, ...], Field(max_length=16)]
    price: Price
    power: Power
    programme: Programme | None = None
    """What the cost includes beside the final run; None: nothing."""
    recompute: Recompute = ()
    memory_headroom: Headroom = default(Headroom, "scenario.memory_headroom")
    """Share of the GPU's memory that a plan leaves free, for fragments and libraries;
    what fits is about bytes alone."""
    year: Annotated[int, Field(ge=2017, le=2100)] | None = None
    """When the run is; None: today. Where no software is named, it is of this year."""
    question: str = ""
    assumptions: tuple[AssumedField, ...] = ()
    """What the file's author assumed where sources are silent."""
    variants: Variants = field(default_factory=dict)
    """Named patches, already applied where they were asked for."""
    published_on: Setting | None = field(default=None, metadata={IS_REFERENCE: True})
    """What published phases' hours were spent on: the scenario as its author wrote it,
    kept where one is derived from it. None: this one."""

    def __post_init__(self) -> None:
        check(structure(self))

    @property
    def main_phase(self) -> Phase:
        """The first simulated phase: the one whose step is shown."""
        return next(phase for phase in self.phases if phase.basis == "simulated")

    @property
    def setting(self) -> Setting:
        """What the model trains on and how."""
        return Setting(
            cluster=self.cluster,
            software=self.software,
            plan=self.plan,
            precision=self.precision,
            recompute=self.recompute,
        )

    @property
    def usable_bytes(self) -> float:
        """The GPU's memory without what is left free."""
        return self.cluster.node.gpu.hbm_bytes * (1 - self.memory_headroom.value)

    @property
    def spacing(self) -> int:
        """How far ranks of a stage lie apart: 1, or pp where stages are neighbours."""
        plan = self.plan
        return min(plan.stride(axis, self.dp) for axis in ("cp", "dp")) // plan.tp

    @property
    def dp(self) -> int:
        """Data-parallel replicas of the non-expert weights."""
        return self.plan.degrees.dp(self.cluster.num_gpus)
