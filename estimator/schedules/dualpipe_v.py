"""DualPipeV: DualPipe's order folded into a V, with one copy of the weights.

Rank ``r`` holds stages ``r`` and ``2P - 1 - r``; where DualPipe pairs micro-batches of
two directions, one on its way down the ranks meets another on its way up.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.ground.errors import InfeasibleError
from estimator.schedules.closed_form import ClosedForm, Durations, closed_form
from estimator.schedules.dualpipe import Chunk, bidirectional, dualpipe_regime
from estimator.schedules.notation import Instruction, Pipeline
from estimator.schedules.programs import schedule


@schedule("dualpipe-v")
def dualpipe_v(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``2 num_ranks + 1`` chunks are alive at the peak.

    Raises
    ------
    InfeasibleError
        If there are fewer micro-batches than twice the ranks.

    References
    ----------
    .. [1] deepseek-ai/DualPipe, ``dualpipev.py``: the order of the eight steps.
    .. [2] Sea AI Lab, "Cut-in-half," 2025, which DualPipe's authors credit for the V.
    """
    num_ranks, num_microbatches = pipeline.num_ranks, pipeline.num_microbatches
    if num_microbatches < 2 * num_ranks:
        raise InfeasibleError(
            f"dualpipe-v on {num_ranks} ranks needs at least {2 * num_ranks} "
            f"micro-batches, not {num_microbatches}",
            fix=f"num_microbatches: {2 * num_ranks}",
        )

    def chunk(phase: int, index: int) -> Chunk:
        return (2 * num_ranks - 1 - rank if phase else rank), index

    return bidirectional(
        num_ranks, rank, num_microbatches, chunk, is_middle=rank == num_ranks - 1
    )


@closed_form("dualpipe-v")
def dualpipe_v_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1)(FB + B - 3W) / 2."""
    chunk_s = (spent.fb_s + spent.b_s - 3 * spent.w_s) / 2
    holds, condition = dualpipe_regime(spent)
    return ClosedForm((pipeline.num_ranks - 1) * chunk_s, holds, condition)
