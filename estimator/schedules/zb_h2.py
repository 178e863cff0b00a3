"""ZB-H2: twice the memory of ZB-H1 buys a step without idle time in its middle."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.notation import Instruction, Pipeline
from estimator.schedules.programs import schedule
from estimator.schedules.zb_h1 import delayed_weights


@schedule("zb-h2")
def zb_h2(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``2 num_ranks - 1`` activations await a weight pass.

    References
    ----------
    .. [1] P. Qi et al., "Zero Bubble Pipeline Parallelism," ICLR 2024.
    """
    return delayed_weights(
        rank,
        pipeline.num_microbatches,
        warmup=2 * (pipeline.num_ranks - rank - 1),
        delay=2 * rank,
    )


@closed_form("zb-h2")
def zb_h2_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1) F: no rank idles between its first and its last pass."""
    return ClosedForm(
        (pipeline.num_ranks - 1) * spent.f_s,
        holds=spent.i_s <= min(spent.f_s, spent.w_s)
        and pipeline.num_microbatches >= 2 * pipeline.num_ranks - 1,
        condition="I <= F, I <= W, n >= 2P - 1",
    )
