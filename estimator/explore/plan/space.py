"""The parallel plans that a cluster and a model allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.ground.errors import InfeasibleError, InputError
from estimator.ground.lanes import Floats
from estimator.schedules.notation import Op, Pipeline, Program
from estimator.schedules.programs import program, schedule
from estimator.specs.degrees import Degrees
from estimator.specs.fit import cuts
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario
from estimator.specs.training import ParallelPlan

MAX_TP = 16
MAX_CP = 16
MAX_PP = 64
MICRO_BATCHES = (1, 2, 4, 8)
STAGES_PER_RANK = (2, 3, 4, 6, 8)
ZERO = (0, 1, 2, 3)
SHORTEST = 3
"""Micro-batches that a placement is read from at least: a step of two puts off weight
passes that a longer one does not."""
NOT_TRAINING = ("forward-only",)
RECOMPUTE: tuple[tuple[str, ...], ...] = (
    (),
    ("core_attn",),
    ("layernorm", "moe_act"),
    ("layernorm", "mla_up_proj", "moe_act"),
    ("full",),
)


class Shape(NamedTuple):
    """What the work of a layer on one rank depends on."""

    tp: int
    cp: int
    ep: int
    etp: int
    micro_batch_size: int
    recompute: tuple[str, ...]

    def degrees(self, pp: int = 1) -> Degrees:
        """Return what it is cut into over a pipeline of so many ranks."""
        return Degrees(self.tp, self.cp, pp, self.ep, self.etp)


class Pipe(NamedTuple):
    """What the order of the work depends on."""

    schedule: str
    pp: int
    stages_per_rank: int | None
    layout: str = EVEN
    """Layers of each stage, as ``plan.stage_layout``."""


class Candidate(NamedTuple):
    """A plan: how layers are cut, how they follow one another, what replicas share."""

    shape: Shape
    pipe: Pipe
    zero: int
    """What replicas hold in shards, as ``plan.zero``."""


def shapes(scenario: Scenario) -> Iterator[Shape]:
    """Yield the ways to cut a layer that the model, nodes and frameworks allow."""
    model, domain = scenario.model, scenario.cluster.node.gpus_per_node
    seq_len = max(phase.seq_len or 1 for phase in scenario.phases)
    experts = _powers(model.moe.num_experts) if model.moe else [1]
    for tp in _powers(min(MAX_TP, domain)):
        if model.attention.num_heads % tp:
            continue
        for cp in _powers(min(MAX_CP, max(1, seq_len // 4096))):
            for ep in experts:
                if model.moe and model.moe.num_experts % ep:
                    continue
                for etp in {1, tp} if model.moe else {1}:
                    if not _is_cut(scenario, tp, cp, ep, etp):
                        continue
                    yield from (
                        Shape(tp, cp, ep, etp, size, modules)
                        for size in MICRO_BATCHES
                        for modules in recomputes(scenario)
                    )


def _is_cut(scenario: Scenario, tp: int, cp: int, ep: int, etp: int) -> bool:
    """Whether the model, its sequences and the GPUs can be cut like this."""
    plan: ParallelPlan = replace(
        scenario.plan,
        tp=tp,
        cp=cp,
        ep=ep,
        etp=etp,
        pp=1,
        dp_shard=0,
        stage_layout=EVEN,
    )
    try:
        return not any(cuts(replace(scenario, plan=plan)))
    except ValueError:  # they do not divide the GPUs
        return False


def recomputes(scenario: Scenario) -> list[tuple[str, ...]]:
    """Return the choices of recomputation that differ for this model."""
    model = scenario.model
    found: list[tuple[str, ...]] = [scenario.recompute]
    has = {
        "moe_act": model.moe is not None,
        "mla_up_proj": model.attention.kind == "mla",
        "core_attn": scenario.software.kernels.attention == "unfused",
    }
    for modules in RECOMPUTE:
        kept = tuple(module for module in modules if has.get(module, True))
        if kept not in found and (kept or not modules):
            found.append(kept)
    return found


def pipes(scenario: Scenario) -> Iterator[Pipe]:
    """Yield the schedules on every number of pipeline ranks that layers can fill.

    One rank has nothing to schedule: it runs 1F1B.
    """
    plan, num_layers = scenario.plan, scenario.model.num_layers
    yield Pipe("1f1b", 1, None)
    sizes = {*_powers(min(MAX_PP, num_layers)), plan.pp} - {1}
    for pp in sorted(sizes):
        for name in schedule:
            if name in NOT_TRAINING:
                continue
            found: set[int] = set()
            for per_rank in (None, *STAGES_PER_RANK):
                if (per_rank or 1) * pp > num_layers:
                    continue
                pipe = Pipe(name, pp, per_rank)
                placed = placement(pipe)
                if placed is None or placed.num_stages in found:
                    continue
                found.add(placed.num_stages)
                if placed.num_stages <= num_layers:
                    yield pipe


def planned(scenario: Scenario, candidate: Candidate) -> Scenario:
    """Return the scenario under another plan.

    Raises
    ------
    ValueError
        If the plan does not fit the model or the cluster.
    """
    shape, pipe, zero = candidate
    plan: ParallelPlan = replace(
        scenario.plan,
        tp=shape.tp,
        cp=shape.cp,
        ep=shape.ep,
        etp=shape.etp,
        micro_batch_size=shape.micro_batch_size,
        pp=pipe.pp,
        schedule=pipe.schedule,
        stages_per_rank=pipe.stages_per_rank,
        zero=zero,
        dp_shard=0,
        stage_layout=pipe.layout,
    )
    changes: Mapping[str, Any] = {"plan": plan, "recompute": shape.recompute}
    return replace(scenario, **changes)


@dataclass(frozen=True)
class Placement:
    """Who holds which stage in a schedule, and what is alive at its peak."""

    num_stages: int
    fewest: int
    """Micro-batches of the program that this was read from."""
    share: Floats
    """Shape (ranks, stages): the share of micro-batches whose stage a rank runs."""
    alive_until_input: Floats
    """Shape (ranks, stages): chunks alive when most are, between F and I."""
    alive_until_weight: Floats
    """The same between F and W."""
    has_pairs: bool
    is_split: bool
    """Input and weight passes run apart."""
    num_copies: int
    """Ranks that hold a stage."""

    @cached_property
    def first(self) -> NDArray[np.intp]:
        """Shape (ranks,): the first stage that a rank holds."""
        first: NDArray[np.intp] = np.argmax(self.share > 0, axis=1)
        return first

    @cached_property
    def where(self) -> bytes:
        """Which rank holds which stage: equal ones hold the same parameters."""
        return self.holds.tobytes()

    @cached_property
    def holds(self) -> NDArray[np.bool_]:
        """Shape (ranks, stages): whether a rank holds a stage."""
        return self.share > 0


def placement(pipe: Pipe) -> Placement | None:
    """Return a schedule's placement, from a program as short as it runs."""
    return _placement(pipe._replace(layout=EVEN))


@lru_cache(maxsize=4096)
def _placement(pipe: Pipe) -> Placement | None:
    for count in range(max(SHORTEST, pipe.pp), 2 * pipe.pp + 2):
        pipeline = Pipeline(pipe.pp, count, pipe.stages_per_rank)
        try:
            made = program(pipe.schedule, pipeline)
        except InfeasibleError:
            continue
        except InputError:  # never so many stages on a rank
            return None
        return _read(made, count)
    return None


def _read(made: Program, count: int) -> Placement:
    size = (len(made.ranks), made.num_stages)
    share, inputs, weights = np.zeros(size), np.zeros(size), np.zeros(size)
    is_split = False
    for rank, instructions in enumerate(made.ranks):
        alive = np.zeros((2, made.num_stages))
        most = 0.0
        for instruction in instructions:
            for part in instruction.parts:
                stage = part.stage
                if part.op is Op.F:
                    share[rank, stage] += 1 / count
                    alive[:, stage] += 1
                elif part.op is Op.B:
                    alive[:, stage] -= 1
                elif part.op is Op.I:
                    is_split = True
                    alive[0, stage] -= 1
                else:
                    alive[1, stage] -= 1
            if alive.sum() > most:
                most = float(alive.sum())
                inputs[rank], weights[rank] = alive
    return Placement(
        num_stages=made.num_stages,
        fewest=count,
        share=share,
        alive_until_input=inputs,
        alive_until_weight=weights,
        has_pairs=any(step.partner for row in made.ranks for step in row),
        is_split=is_split,
        num_copies=sum(0 in made.stages_of(rank) for rank in range(len(made.ranks))),
    )


def _powers(most: int) -> list[int]:
    return [1 << bit for bit in range(most.bit_length()) if 1 << bit <= most]
