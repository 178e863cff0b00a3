"""Interleaved 1F1B: each rank holds several stages, and the pipeline loops over them.

Micro-batches come in groups of as many as there are ranks; a group passes all of a
rank's stages, one after the other, before the next group starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.errors import InfeasibleError
from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.ir import Instruction, Op, Pipeline, schedule

DEFAULT_STAGES_PER_RANK = 2


def looped_chunks(
    name: str, rank: int, pipeline: Pipeline
) -> tuple[list[Instruction], list[Instruction]]:
    """Return rank's forward and its backward chunks, each in the order they run.

    Raises
    ------
    InfeasibleError
        If the micro-batches do not fill whole groups.
    """
    num_ranks, num_microbatches = pipeline.num_ranks, pipeline.num_microbatches
    if num_microbatches % num_ranks:
        raise InfeasibleError(
            f"{name} cannot split {num_microbatches} micro-batches "
            f"into groups of {num_ranks}",
            fix=f"num_microbatches: {-(-num_microbatches // num_ranks) * num_ranks}",
        )
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    stages = [chunk * num_ranks + rank for chunk in range(num_chunks)]
    forward, backward = (
        [
            Instruction(stage, op, microbatch)
            for first in range(0, num_microbatches, num_ranks)
            for stage in order
            for microbatch in range(first, first + num_ranks)
        ]
        for op, order in ((Op.F, stages), (Op.B, stages[::-1]))
    )
    return forward, backward


def num_warmup_chunks(rank: int, pipeline: Pipeline) -> int:
    """Return the forward chunks of rank's warm-up, before both ways alternate."""
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    to_the_end = 2 * (pipeline.num_ranks - rank - 1)
    return to_the_end + (num_chunks - 1) * pipeline.num_ranks


@schedule("interleaved-1f1b")
def interleaved_1f1b(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; rank 0 holds ``v P + P - 1`` chunks at the peak.

    Raises
    ------
    InfeasibleError
        If the number of micro-batches is no multiple of the number of ranks.

    References
    ----------
    .. [1] D. Narayanan et al., "Efficient Large-Scale Language Model Training on GPU
       Clusters Using Megatron-LM," SC 2021.
    """
    forward, backward = looped_chunks("interleaved-1f1b", rank, pipeline)
    warmup = min(num_warmup_chunks(rank, pipeline), len(forward))
    yield from forward[:warmup]
    for ahead, back in zip(forward[warmup:], backward, strict=False):
        yield ahead
        yield back
    yield from backward[len(forward) - warmup :]


@closed_form("interleaved-1f1b")
def interleaved_1f1b_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + B) / v."""
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    bubble_s = (pipeline.num_ranks - 1) * (spent.f_s + spent.b_s) / num_chunks
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
