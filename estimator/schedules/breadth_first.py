"""Breadth-first: a looped pipeline that runs all micro-batches a stage at a time."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.ir import Instruction, Op, Pipeline, schedule

DEFAULT_STAGES_PER_RANK = 2


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
    """Return (P - 1)(F + B) / v; with n < P, each further stage waits P - n chunks."""
    num_ranks = pipeline.num_ranks
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    waits = (num_chunks - 1) * max(0, num_ranks - pipeline.num_microbatches)
    bubble_s = (num_ranks - 1 + waits) * (spent.f_s + spent.b_s) / num_chunks
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
