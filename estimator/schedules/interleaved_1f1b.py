"""Interleaved 1F1B: each rank holds several stages, and the pipeline loops over them.

Micro-batches come in groups; a group passes all of a rank's stages, one after the
other, before the next group starts. A group of at least as many as there are ranks
keeps all of them busy. Facts from two frameworks:

- NVIDIA/Megatron-LM, commit d98e8a6, ``core/pipeline_parallel/schedules.py``: a group
  has ``microbatch_group_size_per_vp_stage`` micro-batches, from the number of ranks up
  to the whole batch; a smaller last one has no fewer than there are ranks. The warm-up
  is a group for each stage but the last, and two chunks for each rank behind.
- pytorch/pytorch, commit 00722e6, ``distributed/pipelining/schedules.py``,
  ``ScheduleInterleaved1F1B``: n // P rounds, or one where there are fewer micro-batches
  than ranks, with equally many each; the warm-up is the same.

The least group that Megatron-LM takes is torch's wherever torch has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule

DEFAULT_STAGES_PER_RANK = 2
GROUPED = ("interleaved-1f1b", "interleaved-1f1b-overlap")
"""Schedules whose micro-batches come in groups."""


def group_size(pipeline: Pipeline) -> int:
    """Return the micro-batches that pass a stage before the rank turns to its next.

    >>> [group_size(Pipeline(4, n)) for n in (3, 4, 6, 8, 9, 10, 13, 14)]
    [3, 4, 6, 4, 5, 5, 7, 5]
    """
    num_ranks, num_microbatches = pipeline.num_ranks, pipeline.num_microbatches
    if pipeline.group_size:
        return pipeline.group_size
    if num_microbatches <= num_ranks:
        return num_microbatches
    return next(
        size
        for size in range(num_ranks, num_microbatches + 1)
        if not 0 < num_microbatches % size < num_ranks
    )


def looped_chunks(
    rank: int, pipeline: Pipeline
) -> tuple[list[Instruction], list[Instruction]]:
    """Return rank's forward and its backward chunks, each in the order they run."""
    num_ranks, num_microbatches = pipeline.num_ranks, pipeline.num_microbatches
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    size = group_size(pipeline)
    stages = [chunk * num_ranks + rank for chunk in range(num_chunks)]
    forward, backward = (
        [
            Instruction(stage, op, microbatch)
            for first in range(0, num_microbatches, size)
            for stage in order
            for microbatch in range(first, min(first + size, num_microbatches))
        ]
        for op, order in ((Op.F, stages), (Op.B, stages[::-1]))
    )
    return forward, backward


def num_warmup_chunks(rank: int, pipeline: Pipeline) -> int:
    """Return the forward chunks of rank's warm-up, before both ways alternate."""
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    to_the_end = 2 * (pipeline.num_ranks - rank - 1)
    return to_the_end + (num_chunks - 1) * group_size(pipeline)


@schedule("interleaved-1f1b")
def interleaved_1f1b(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; with whole groups rank 0 holds ``v P + P - 1`` chunks at most.

    References
    ----------
    .. [1] D. Narayanan et al., "Efficient Large-Scale Language Model Training on GPU
       Clusters Using Megatron-LM," SC 2021.
    """
    forward, backward = looped_chunks(rank, pipeline)
    warmup = min(num_warmup_chunks(rank, pipeline), len(forward))
    yield from forward[:warmup]
    for ahead, back in zip(forward[warmup:], backward, strict=False):
        yield ahead
        yield back
    yield from backward[len(forward) - warmup :]


@closed_form("interleaved-1f1b")
def interleaved_1f1b_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + B) / v; with n < P, each further stage waits P - n chunks."""
    num_ranks = pipeline.num_ranks
    num_chunks = pipeline.stages_per_rank or DEFAULT_STAGES_PER_RANK
    waits = (num_chunks - 1) * max(0, num_ranks - pipeline.num_microbatches)
    bubble_s = (num_ranks - 1 + waits) * (spent.f_s + spent.b_s) / num_chunks
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
