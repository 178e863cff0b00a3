"""A closed form below the step of every plan: what no schedule can do without.

A rank's step lasts at least as long as its own work, plus the way of the first
micro-batch to it, plus the way of the last one back where backward passes are whole,
and the optimizer of the fullest rank. Of a chunk counts what its compute stream does,
or its chain of dependent operations if that is longer and no pair can hide it; beside
pairs, a rank's communication stream is busy no longer than the rank, and neither is the
stream on which sharded weights travel. Sends and waits come on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from estimator.answer.step_model import fewest_scheduled
from estimator.explore.plan.elements import ElementCost, Elements, elements_of
from estimator.explore.plan.shards import Shards, shards_of
from estimator.explore.plan.space import Pipe, Placement, Shape, placement
from estimator.ground.errors import EstimatorError
from estimator.ground.lanes import Floats, Index, lanes
from estimator.schedules.notation import Pipeline
from estimator.specs.fit import splits_evenly
from estimator.specs.layout import EVEN, even_layout, parse_layout
from estimator.specs.scenario import Scenario
from estimator.workload.memory import (
    RankMemory,
    fixed_bytes,
    passing_alone,
    share_that_stays,
)

LONG = 4
"""Micro-batches per rank from which on a few more do not matter to a bound."""


@dataclass(frozen=True)
class Bound:
    """What a plan takes at least."""

    zero: int
    step_s: float
    wall_s: float
    """Of the main phase."""
    memory_bytes: float


@dataclass
class Bounds:
    """Bounds of the plans of one scenario on one number of GPUs."""

    scenario: Scenario
    num_gpus: int
    _shards: dict[object, tuple[Shards, ...]] = field(default_factory=dict)

    def of_shape(self, shape: Shape) -> ShapeBounds | None:
        """Return what is common to plans of a shape, or None where it cannot be."""
        if not shape.degrees().divide(self.num_gpus):
            return None
        made = elements_of(self.scenario, shape)
        return None if made is None else ShapeBounds(self, shape, made)

    def shards(
        self, shape: Shape, pipe: Pipe, placed: Placement, made: Elements
    ) -> tuple[Shards, ...]:
        """Return what each ZeRO stage adds, the same for plans that differ in time."""
        split = (shape.tp, shape.cp, shape.ep, shape.etp)
        key = (split, pipe.pp, pipe.layout, placed.num_stages, placed.where)
        if key not in self._shards:
            starts = self.starts(pipe, placed)
            self._shards[key] = shards_of(
                self.scenario, shape, pipe.pp, placed, made, starts
            )
        return self._shards[key]

    def starts(self, pipe: Pipe, placed: Placement) -> Index:
        """Return the first element of each stage."""
        model = self.scenario.model
        return _starts(
            pipe.layout, model.num_layers, model.num_mtp_modules, placed.num_stages
        )


@dataclass
class ShapeBounds:
    """Bounds of the plans that cut layers in one way."""

    bounds: Bounds
    shape: Shape
    made: Elements

    def of_pipe(self, pipe: Pipe) -> Iterator[Bound]:
        """Yield the bounds of a plan, one for each ZeRO stage that makes a difference.

        None where its parts do not fit together.
        """
        scenario, shape = self.bounds.scenario, self.shape
        placed, num_gpus = placement(pipe), self.bounds.num_gpus
        degrees = shape.degrees(pipe.pp)
        if placed is None or not degrees.divide(num_gpus):
            return
        phase = scenario.main_phase
        batch = phase.global_batch_size
        assert batch is not None  # noqa: S101 - the phase is simulated
        replica = shape.micro_batch_size * degrees.dp(num_gpus)
        if not splits_evenly(scenario, replica):
            return
        count = _scheduled(pipe, max(1, -(-batch.final // replica)))
        if count is None:
            return
        starts = self.bounds.starts(pipe, placed)
        of_stage = np.add.reduceat(self.made.rows, starts, axis=1)
        activations = self._activations(placed, of_stage)
        buffers = self._buffers(placed, starts)
        seq_len, num_tokens = phase.seq_len or 1, phase.num_tokens or 0.0
        ramped = min(batch.ramp_tokens, num_tokens)
        num_steps = (num_tokens - ramped) / (batch.final * seq_len)
        num_steps += ramped / (seq_len * replica * count)
        for shards in self.bounds.shards(shape, pipe, placed, self.made):
            step_s = _step_s(placed, of_stage, shards, count) + shards.optimizer_s
            weights, gradients, optimizer = shards.states
            if not scenario.software.gradients.are_preallocated:  # each in its time
                gradients = np.maximum(gradients - activations, 0.0)
            states = weights, gradients, optimizer
            needed = RankMemory(*states, activations, buffers).total
            yield Bound(shards.zero, step_s, step_s * num_steps, float(np.max(needed)))

    def _activations(self, placed: Placement, of_stage: Floats) -> Any:
        """Return each rank's bytes of activations, at least.

        Longer programs hold as many chunks, but perhaps of another of its stages.
        """
        active = np.zeros(len(placed.holds))
        for alive, row in (
            (placed.alive_until_input, ElementCost.UNTIL_INPUT),
            (placed.alive_until_weight, ElementCost.UNTIL_WEIGHT),
        ):
            least = np.min(np.where(placed.holds, of_stage[row], np.inf), axis=1)
            active += np.sum(alive, axis=1) * least
        return active * share_that_stays(self.bounds.scenario.plan)

    def _buffers(self, placed: Placement, starts: Index) -> Any:
        """Return each rank's bytes of buffers, at least."""
        logits = np.maximum.reduceat(self.made.rows[ElementCost.LOGITS], starts)
        head: Any = lanes(np.max(placed.holds * logits, axis=1))
        fixed = fixed_bytes(self.bounds.scenario.cluster.node)
        return np.asarray(fixed + passing_alone(head, self.made.layer_buffer))


def _step_s(placed: Placement, of_stage: Floats, shards: Shards, count: int) -> float:
    forward = of_stage[ElementCost.FORWARD] + shards.forward_copy_s
    backward = (
        of_stage[ElementCost.BACKWARD] + shards.backward_copy_s + shards.scatter_copy_s
    )
    if not placed.has_pairs:
        chain = of_stage[ElementCost.FORWARD_CHAIN] + shards.forward_copy_s
        forward = np.maximum(chain, forward)
        if not placed.is_split:
            chain = of_stage[ElementCost.INPUT_CHAIN] + shards.backward_copy_s
            backward = np.maximum(chain, backward)
    busy_s = count * (placed.share @ (forward + backward))
    busy_s = np.maximum(busy_s, count * (placed.share @ shards.travel_s))
    if placed.has_pairs:
        travel_s = count * (placed.share @ of_stage[ElementCost.COMMUNICATION])
        busy_s = np.maximum(busy_s, travel_s)
    way = np.cumsum(forward) - forward
    if not placed.is_split:
        way += np.cumsum(backward) - backward
    return float(np.max(busy_s + way[placed.first]))


@lru_cache(maxsize=65536)
def _scheduled(pipe: Pipe, count: int) -> int | None:
    """Return the micro-batches that are run; of many, no fewer than these."""
    if count > LONG * pipe.pp:
        return count
    try:
        return fewest_scheduled(
            pipe.schedule, Pipeline(pipe.pp, count, pipe.stages_per_rank)
        )
    except EstimatorError:
        return None


@lru_cache(maxsize=1024)
def _starts(
    layout: str, num_layers: int, num_mtp_modules: int, num_stages: int
) -> Index:
    """Return the first element of each stage; an MTP module is two elements."""
    if layout == EVEN:
        stages = even_layout(num_layers, num_mtp_modules, num_stages)
    else:
        stages = parse_layout(layout)
    sizes = [len(stage) + stage.count("m") for stage in stages]
    return np.cumsum([0, *sizes[:-1]]).astype(np.intp)
