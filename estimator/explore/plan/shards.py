"""What each ZeRO stage adds to the ranks of a pipeline: bytes held, and their way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimator.explore.plan.elements import ElementCost, Elements, split
from estimator.explore.plan.space import ZERO, Placement, Shape
from estimator.ground.lanes import Floats, Index
from estimator.specs.scenario import Scenario
from estimator.workload.sharding import Sharding, sharding
from estimator.workload.stages import Element, Held, Look
from estimator.workload.states import state_bytes
from estimator.workload.synchronisation import (
    Replicas,
    Window,
    optimizer_phase_s,
    replicas,
    shards,
)


@dataclass(frozen=True)
class Shards:
    """What one ZeRO stage adds, whatever the micro-batch; at least."""

    zero: int
    states: tuple[Any, Any, Any]
    """Bytes of weights, gradients and optimizer, each of every rank."""
    optimizer_s: float
    """Of the rank that holds most."""
    forward_copy_s: Floats
    """Of each stage and micro-batch: from gathered buffers to weights."""
    backward_copy_s: Floats
    """The same where weights are gathered again."""
    scatter_copy_s: Floats
    """From gradients to buffers."""
    travel_s: Floats
    """Of each stage and micro-batch: weights gathered, gradients scattered."""


def shards_of(
    scenario: Scenario,
    shape: Shape,
    pp: int,
    placed: Placement,
    made: Elements,
    starts: Index,
) -> tuple[Shards, ...]:
    """Return each ZeRO stage that makes a difference; the scenario's own if none does.

    Parameters
    ----------
    starts : array
        The first element of each stage.
    """
    return tuple(
        _shards(split(scenario, shape, pp, zero), placed, made, starts)
        for zero in _stages(split(scenario, shape, pp, scenario.plan.zero), placed)
    )


def _stages(scenario: Scenario, placed: Placement) -> tuple[int, ...]:
    def most(groups: Replicas) -> int:
        experts = groups.experts.size if scenario.model.moe else 1
        return max(groups.shared.size, experts)

    if most(replicas(scenario, placed.num_copies)) == 1:
        return (scenario.plan.zero,)
    if most(shards(scenario)) == 1:  # only copies of a pipeline's stages share
        return tuple(zero for zero in ZERO if zero < 2)
    return ZERO


def _shards(
    scenario: Scenario, placed: Placement, made: Elements, starts: Index
) -> Shards:
    of_stage = np.add.reduceat(made.rows, starts, axis=1)
    shared, experts, vocabulary = (
        placed.holds @ of_stage[row]
        for row in (ElementCost.SHARED, ElementCost.EXPERTS, ElementCost.VOCABULARY)
    )
    each = np.maximum.reduceat(
        made.rows[ElementCost.SHARED] + made.rows[ElementCost.EXPERTS], starts
    )
    largest = np.max(placed.holds * each, axis=1)
    least = np.maximum(shared, 1.0)  # a tied head may be all that a rank holds
    states: tuple[Any, Any, Any] = state_bytes(  # of all ranks at once
        scenario, Held(least, experts), vocabulary, largest, placed.num_copies
    )
    fullest = int(np.argmax(shared + experts))
    own = Held(float(shared[fullest]), float(experts[fullest]))
    free = Window(math.inf, math.inf, len(made.work.stages[0]))
    work = made.work
    device, links = work.timing.device, work.exchanges.links
    spent = optimizer_phase_s(scenario, own, placed.num_copies, device, links, free)
    moved = np.zeros((4, len(work.stages[0])))
    if scenario.plan.zero > 1:
        moved = _moved(sharding(scenario, links, device), work.stages[0])
    out_s, again_s, in_s, travel_s = np.add.reduceat(moved, starts, axis=1)
    return Shards(
        zero=scenario.plan.zero,
        states=states,
        optimizer_s=sum(spent.values()),
        forward_copy_s=out_s,
        backward_copy_s=again_s,
        scatter_copy_s=in_s,
        travel_s=travel_s,
    )


def _moved(way: Sharding, parts: tuple[Element, ...]) -> Floats:
    """Return the seconds of each element's copies and collectives for a micro-batch."""
    known: dict[Look, tuple[float, ...]] = {}
    columns = []
    for element in parts:
        if element.look not in known:
            out_s, gather_s = way.copy_out_s(element), way.gather_s(element)
            again = way.gathers_again and element.is_layer
            known[element.look] = (
                out_s,
                out_s * again,
                way.copy_in_s(element),
                gather_s * (1 + again) + way.scatter_s(element),
            )
        columns.append(known[element.look])
    return np.array(columns).T
