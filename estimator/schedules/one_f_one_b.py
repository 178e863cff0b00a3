"""1F1B: after a warm-up, each forward pass is followed by a backward pass."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("1f1b")
def one_f_one_b(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; at most ``num_ranks - rank`` activations are ever alive.

    References
    ----------
    .. [1] D. Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN Training,"
       ICML 2021 (PipeDream-Flush).
    """
    num_microbatches = pipeline.num_microbatches
    warmup = min(pipeline.num_ranks - rank - 1, num_microbatches)
    for microbatch in range(warmup):
        yield Instruction(rank, Op.F, microbatch)
    for microbatch in range(num_microbatches - warmup):
        yield Instruction(rank, Op.F, warmup + microbatch)
        yield Instruction(rank, Op.B, microbatch)
    for microbatch in range(num_microbatches - warmup, num_microbatches):
        yield Instruction(rank, Op.B, microbatch)


@closed_form("1f1b")
def one_f_one_b_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + B), GPipe's."""
    bubble_s = (pipeline.num_ranks - 1) * (spent.f_s + spent.b_s)
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
