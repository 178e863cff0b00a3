"""Breadth-first: a looped pipeline that runs all micro-batches a stage at a time."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.interleaved_1f1b import (
    DEFAULT_STAGES_PER_RANK,
    interleaved_1f1b_bubble,
)
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("breadth-first")
def breadth_first(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; every chunk's activations are alive at once.

    References
    ----------
    .. [1] J. Lamy-Poirier, "Breadth-First Pipeline Parallelism," MLSys 2023.
    """
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    stages = [chunk * pipeline.num_ranks + rank for chunk in range(num_chunks)]
    for op, order in ((Op.F, stages), (Op.B, stages[::-1])):
        for stage in order:
            for microbatch in range(pipeline.num_microbatches):
                yield Instruction(stage, op, microbatch)


@closed_form("breadth-first")
def breadth_first_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return that of interleaved 1F1B: the order changes only what is alive."""
    return interleaved_1f1b_bubble(pipeline, spent)
