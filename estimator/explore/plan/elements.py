"""What each element of a model takes and keeps on a rank, whatever the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from estimator.engine.operations import Stream, play
from estimator.explore.plan.space import Shape
from estimator.ground.errors import EstimatorError
from estimator.ground.lanes import Floats
from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program
from estimator.specs.base import unchecked
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario
from estimator.workload.chunks import Chunks, chunks
from estimator.workload.memory import head_buffer, layer_activations, layer_buffer
from estimator.workload.stages import Element, Look, held

PAIRED = ("dualpipe", Pipeline(2, 4))
"""A schedule with overlapped pairs: their all-to-alls run at other rates."""


class ElementCost(IntEnum):
    """Of each element: seconds, bytes kept, parameters."""

    FORWARD_CHAIN = 0
    FORWARD = 1
    INPUT_CHAIN = 2
    BACKWARD = 3
    UNTIL_INPUT = 4
    UNTIL_WEIGHT = 5
    SHARED = 6
    EXPERTS = 7
    COMMUNICATION = 8
    VOCABULARY = 9
    """Of the shared parameters, those of embedding and head."""
    LOGITS = 10
    """Bytes of the head's buffer."""


@dataclass(frozen=True)
class Elements:
    """The elements of a model under one shape."""

    rows: Floats
    """Shape (:class:`ElementCost`, elements)."""
    layer_buffer: float
    """Bytes that a layer's backward pass needs at least."""
    work: Chunks
    """Of one rank that holds all of them, weights not sharded."""


def elements_of(scenario: Scenario, shape: Shape) -> Elements | None:
    """Return what each element takes; None where the shape is not allowed."""
    alone = split(scenario, shape, 1, 0)
    seq_len = scenario.main_phase.seq_len or 1
    try:
        work = chunks(alone, seq_len, program("1f1b", Pipeline(1, 1)))
        beside = chunks(alone, seq_len, program(*PAIRED))
    except (EstimatorError, ValueError):
        return None
    known: dict[Look, list[float]] = {}
    columns, buffers = [], []
    for element in work.stages[0]:
        if element.look not in known:
            known[element.look] = _costs(alone, work, beside, element)
            if element.is_layer:
                buffers.append(layer_buffer(work.timing.size, [(element,)]))
        columns.append(known[element.look])
    return Elements(np.array(columns).T, min(buffers), work)


def split(scenario: Scenario, shape: Shape, pp: int, zero: int) -> Scenario:
    """Return a scenario with a plan of these sizes, not checked, its schedule plain."""
    sizes = shape._asdict()
    modules = sizes.pop("recompute")
    plan = unchecked(
        scenario.plan,
        **sizes,
        pp=pp,
        zero=zero,
        schedule="1f1b",
        stages_per_rank=None,
        stage_layout=EVEN,
        dp_shard=0,
    )
    made: Scenario = unchecked(scenario, plan=plan, recompute=modules)
    return made


def _costs(
    scenario: Scenario, work: Chunks, beside: Chunks, element: Element
) -> list[float]:
    """Return one element's column; ``beside`` has the rates of overlapped pairs."""
    one = replace(work, stages=((element,),))
    paired = replace(one, exchanges=beside.exchanges)
    forward = one.operations(Op.F, 0)
    inputs, weights = one.operations(Op.I, 0), one.operations(Op.W, 0)
    busy = [
        sum(item.seconds for item in items if item.stream is Stream.COMPUTE)
        for items in (forward, inputs, weights)
    ]
    size = work.timing.size
    kept = layer_activations(size, element) if element.is_layer else (0.0, 0.0)
    own = held(scenario, element)
    travel_s = sum(
        item.seconds
        for op in (Op.F, Op.I)
        for item in paired.operations(op, 0)
        if item.stream is Stream.COMMUNICATION
    )
    column = {
        ElementCost.FORWARD_CHAIN: play(forward).makespan_s,
        ElementCost.FORWARD: busy[0],
        ElementCost.INPUT_CHAIN: play(inputs).makespan_s,
        ElementCost.BACKWARD: busy[1] + busy[2],
        ElementCost.UNTIL_INPUT: kept[0],
        ElementCost.UNTIL_WEIGHT: kept[1],
        ElementCost.SHARED: own.shared,
        ElementCost.EXPERTS: own.experts,
        ElementCost.COMMUNICATION: travel_s,
        ElementCost.VOCABULARY: 0.0 if element.is_layer else own.shared,
        ElementCost.LOGITS: head_buffer(size, [(element,)]),
    }
    return [column[row] for row in ElementCost]
