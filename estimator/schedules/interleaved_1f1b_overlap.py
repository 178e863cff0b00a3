"""Interleaved 1F1B whose forward and backward chunks run as overlapped pairs.

Each pair hides the expert all-to-all of one half behind the computation of the other.
One more chunk in the warm-up makes the halves independent: without it, the last rank
would pair a micro-batch's last forward chunk with the backward chunk that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.ground.errors import InfeasibleError
from estimator.schedules.closed_form import ClosedForm, Durations, closed_form, same
from estimator.schedules.interleaved_1f1b import (
    interleaved_1f1b_bubble,
    looped_chunks,
    num_warmup_chunks,
)
from estimator.schedules.notation import Instruction, Pipeline, overlapped
from estimator.schedules.programs import schedule


@schedule("interleaved-1f1b-overlap")
def interleaved_1f1b_overlap(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; with whole groups rank 0 holds ``v P + P`` chunks at most.

    Raises
    ------
    InfeasibleError
        If there are fewer micro-batches than ranks, which Megatron-LM refuses.

    References
    ----------
    .. [1] NVIDIA/Megatron-LM, "1F1B overlap" of the expert-parallel all-to-all
       (``--overlap-moe-expert-parallel-comm``), Megatron-Core 0.14.
    """
    if pipeline.num_microbatches < pipeline.num_ranks:
        raise InfeasibleError(
            f"interleaved-1f1b-overlap on {pipeline.num_ranks} ranks needs as many "
            f"micro-batches, not {pipeline.num_microbatches}",
            fix=f"num_microbatches: {pipeline.num_ranks}",
        )
    forward, backward = looped_chunks(rank, pipeline)
    warmup = min(num_warmup_chunks(rank, pipeline) + 1, len(forward))
    yield from forward[:warmup]
    for ahead, back in zip(forward[warmup:], backward, strict=False):
        yield overlapped(ahead.stage, ahead.microbatch, back.stage, back.microbatch)
    yield from backward[len(forward) - warmup :]


@closed_form("interleaved-1f1b-overlap")
def interleaved_1f1b_overlap_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + B) / v, as without pairs: right where a pair saves nothing."""
    return interleaved_1f1b_bubble(pipeline, spent)._replace(
        holds=same(spent.fb_s, spent.f_s + spent.b_s), condition="FB = F + B"
    )
