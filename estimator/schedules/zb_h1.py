"""ZB-H1: 1F1B with the backward pass in halves, the weight half put off into bubbles.

ZB-H2 is the same order with twice the warm-up and twice the delay.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("zb-h1")
def zb_h1(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``num_ranks`` activations await a weight pass at the peak.

    References
    ----------
    .. [1] P. Qi et al., "Zero Bubble Pipeline Parallelism," ICLR 2024.
    """
    return delayed_weights(
        rank,
        pipeline.num_microbatches,
        warmup=pipeline.num_ranks - rank - 1,
        delay=rank,
    )


def delayed_weights(
    rank: int, num_microbatches: int, *, warmup: int, delay: int
) -> Iterator[Instruction]:
    """Yield 1F1B's order with ``W`` running ``delay`` micro-batches behind ``I``."""
    warmup = min(warmup, num_microbatches)
    for microbatch in range(warmup):
        yield Instruction(rank, Op.F, microbatch)
    for microbatch in range(num_microbatches):
        if warmup + microbatch < num_microbatches:
            yield Instruction(rank, Op.F, warmup + microbatch)
        yield Instruction(rank, Op.I, microbatch)
        if microbatch >= delay:
            yield Instruction(rank, Op.W, microbatch - delay)
    for microbatch in range(max(num_microbatches - delay, 0), num_microbatches):
        yield Instruction(rank, Op.W, microbatch)


@closed_form("zb-h1")
def zb_h1_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(F + I - W)."""
    bubble_s = (pipeline.num_ranks - 1) * (spent.f_s + spent.i_s - spent.w_s)
    return ClosedForm(
        bubble_s,
        holds=spent.w_s <= min(spent.f_s, spent.i_s)
        and pipeline.num_microbatches >= pipeline.num_ranks,
        condition="W <= F, W <= I, n >= P",
    )
