"""A closed form below the step of every plan: what no schedule can do without.

A rank's step lasts at least as long as its own work, plus the way of the first
micro-batch to it, plus the way of the last one back where backward passes are whole.
Of a chunk counts what its compute stream does, or its chain of dependent operations if
that is longer and no pair can hide it; beside pairs, a rank's communication stream is
busy no longer than the rank. Sends, waits and the optimizer come on top.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from estimator.errors import EstimatorError
from estimator.lanes import Floats, Index
from estimator.plan_space import Pipe, Placement, Shape, placement
from estimator.schedules.ir import Op, Pipeline, program
from estimator.specs.fit import splits_evenly
from estimator.specs.layout import EVEN, even_layout, parse_layout
from estimator.specs.scenario import Scenario
from estimator.step_model import fewest_scheduled
from estimator.workload.chunks import Chunks, chunks
from estimator.workload.memory import (
    COLLECTIVE_BUFFER_BYTES,
    CONTEXT_BYTES,
    layer_activations,
)
from estimator.workload.operations import Stream, play
from estimator.workload.stages import Element, held
from estimator.workload.synchronisation import FORMAT_BYTES, MASTER

ROWS = (
    "forward_chain",
    "forward",
    "input_chain",
    "backward",
    "until_input",
    "until_weight",
    "shared",
    "experts",
    "communication",
)
"""Of each element: seconds, bytes kept, parameters."""


PAIRED = ("dualpipe", Pipeline(2, 4))
"""A schedule with overlapped pairs: their all-to-alls run at other rates."""


LONG = 4
"""Micro-batches per rank from which on a few more do not matter to a bound."""


@dataclass(frozen=True)
class Bound:
    """What a plan takes at least."""

    step_s: float
    wall_s: float
    """Of the main phase."""
    memory_bytes: float


@dataclass
class Bounds:
    """Bounds of the plans of one scenario on one number of GPUs."""

    scenario: Scenario
    num_gpus: int

    def of_shape(self, shape: Shape) -> ShapeBounds | None:
        """Return what is common to plans of a shape, or None where it cannot be."""
        inner, experts = shape.tp * shape.cp, shape.ep * shape.etp
        if self.num_gpus % inner or self.num_gpus % experts:
            return None
        costs = element_costs(self.scenario, shape)
        return None if costs is None else ShapeBounds(self, shape, costs)


@dataclass
class ShapeBounds:
    """Bounds of the plans that cut layers in one way."""

    bounds: Bounds
    shape: Shape
    costs: Floats
    """Shape (:data:`ROWS`, elements)."""

    def of_pipe(self, pipe: Pipe) -> Bound | None:
        """Return the bound of a plan, or None where its parts do not fit together."""
        scenario, shape = self.bounds.scenario, self.shape
        placed, num_gpus = placement(pipe), self.bounds.num_gpus
        width = shape.tp * shape.cp * pipe.pp
        if placed is None or num_gpus % width:
            return None
        per_rank = num_gpus // pipe.pp
        if per_rank % (shape.ep * shape.etp):
            return None
        phase, dp = scenario.main_phase, num_gpus // width
        batch = phase.global_batch_size
        assert batch is not None  # noqa: S101 - the phase is simulated
        replica = shape.micro_batch_size * dp
        if not splits_evenly(scenario, replica):
            return None
        count = _scheduled(pipe, max(1, -(-batch.final // replica)))
        if count is None:
            return None
        model = scenario.model
        starts = _starts(
            pipe.layout, model.num_layers, model.num_mtp_modules, placed.num_stages
        )
        of_stage = np.add.reduceat(self.costs, starts, axis=1)
        step_s = _step_s(placed, of_stage, count)
        seq_len, num_tokens = phase.seq_len or 1, phase.num_tokens or 0.0
        ramped = min(batch.ramp_tokens, num_tokens)
        num_steps = (num_tokens - ramped) / (batch.final * seq_len)
        num_steps += ramped / (seq_len * replica * count)
        return Bound(
            step_s, step_s * num_steps, self._memory(placed, of_stage, dp, per_rank)
        )

    def _memory(
        self, placed: Placement, of_stage: Floats, dp: int, per_rank: int
    ) -> float:
        """Return the bytes that the fullest rank holds at least."""
        scenario, shape = self.bounds.scenario, self.shape
        precision, zero = scenario.precision, scenario.plan.zero
        shared, experts = placed.holds @ of_stage[6], placed.holds @ of_stage[7]
        sharers = dp * shape.cp * placed.num_copies
        expert_sharers = per_rank // (shape.ep * shape.etp) * placed.num_copies
        shard = shared / sharers + experts / max(1, expert_sharers)
        state = MASTER + 2 * FORMAT_BYTES[precision.moments]
        kept = 1.0 + FORMAT_BYTES[precision.gradients]  # a weight has a byte at least
        whole = shared + experts
        held_bytes = (shard if zero else whole) * state
        held_bytes += (shard if zero > 1 else whole) * kept
        active = placed.alive_until_input @ of_stage[4]
        active += placed.alive_until_weight @ of_stage[5]
        fixed = CONTEXT_BYTES + COLLECTIVE_BUFFER_BYTES
        return float(np.max(held_bytes + active)) + fixed


def _step_s(placed: Placement, of_stage: Floats, count: int) -> float:
    forward, backward = of_stage[1], of_stage[3]
    if not placed.has_pairs:
        forward = np.maximum(of_stage[0], forward)
        if not placed.is_split:
            backward = np.maximum(of_stage[2], backward)
    busy_s = count * (placed.share @ (forward + backward))
    if placed.has_pairs:
        busy_s = np.maximum(busy_s, count * (placed.share @ of_stage[8]))
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


def element_costs(scenario: Scenario, shape: Shape) -> Floats | None:
    """Return what each element of the model takes and keeps, shape (ROWS, elements).

    None where the model or the GPU does not allow the shape.
    """
    alone = _alone(scenario, shape)
    seq_len = scenario.main_phase.seq_len or 1
    try:
        work = chunks(alone, seq_len, program("1f1b", Pipeline(1, 1)))
        beside = chunks(alone, seq_len, program(*PAIRED))
    except (EstimatorError, ValueError):
        return None
    known: dict[tuple[str, str, int], list[float]] = {}
    columns = []
    for element in work.stages[0]:
        key = (element.name if not element.is_layer else "", *element.look)
        if key not in known:
            known[key] = _costs(alone, work, beside, element)
        columns.append(known[key])
    return np.array(columns).T


def _alone(scenario: Scenario, shape: Shape) -> Scenario:
    """Return a scenario whose only pipeline rank holds all layers, not checked."""
    plan = copy.copy(scenario.plan)
    changes = {
        **shape._asdict(),
        "pp": 1,
        "schedule": "1f1b",
        "stages_per_rank": None,
        "stage_layout": EVEN,
        "dp_shard": 0,
    }
    modules = changes.pop("recompute")
    for name, value in changes.items():
        object.__setattr__(plan, name, value)
    made = copy.copy(scenario)
    object.__setattr__(made, "plan", plan)
    object.__setattr__(made, "recompute", modules)
    return made


def _costs(
    scenario: Scenario, work: Chunks, beside: Chunks, element: Element
) -> list[float]:
    """Return one element's column; ``beside`` has the rates of overlapped pairs."""
    one, paired = copy.copy(work), copy.copy(beside)
    one.stages, one.sharding = ((element,),), None
    paired.stages, paired.sharding = ((element,),), None
    paired._times, paired._ends = one._times, one._ends
    forward = one.operations(Op.F, 0)
    inputs, weights = one.operations(Op.I, 0), one.operations(Op.W, 0)
    busy = [
        sum(item.seconds for item in items if item.stream is Stream.COMPUTE)
        for items in (forward, inputs, weights)
    ]
    kept = layer_activations(work.size, element) if element.is_layer else (0.0, 0.0)
    own = held(scenario, element)
    return [
        play(forward).makespan_s,
        busy[0],
        play(inputs).makespan_s,
        busy[1] + busy[2],
        *kept,
        own.shared,
        own.experts,
        sum(
            item.seconds
            for op in (Op.F, Op.I)
            for item in paired.operations(op, 0)
            if item.stream is Stream.COMMUNICATION
        ),
    ]
