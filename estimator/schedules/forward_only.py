"""Forward only: no backward pass, as in evaluation or a roll-out."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("forward-only")
def forward_only(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; forward passes alone, nothing is kept."""
    for microbatch in range(pipeline.num_microbatches):
        yield Instruction(rank, Op.F, microbatch)


@closed_form("forward-only")
def forward_only_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1) F."""
    bubble_s = (pipeline.num_ranks - 1) * spent.f_s
    return ClosedForm(bubble_s, holds=True, condition="equal stages")
