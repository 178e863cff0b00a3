"""GPipe: all forward passes, then all backward passes."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("gpipe")
def gpipe(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; every micro-batch's activations are alive at once.

    References
    ----------
    .. [1] Y. Huang et al., "GPipe: Efficient Training of Giant Neural Networks using
       Pipeline Parallelism," NeurIPS 2019.
    """
    for op in (Op.F, Op.B):
        for microbatch in range(pipeline.num_microbatches):
            yield Instruction(rank, op, microbatch)


@closed_form("gpipe")
def gpipe_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + B)."""
    bubble_s = (pipeline.num_ranks - 1) * (spent.f_s + spent.b_s)
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
