"""ZB-V: two stages per rank in the shape of a V, without idle time in its middle.

Rank ``r`` holds stages ``r`` and ``2P - 1 - r``: a micro-batch's forward pass goes down
the ranks and up again, its backward pass likewise.
"""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.closed_form import ClosedForm, Durations, closed_form, same
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import schedule


@schedule("zb-v")
def zb_v(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``num_ranks`` activations of 1F1B's size are held at most.

    References
    ----------
    .. [1] P. Qi et al., "Zero Bubble Pipeline Parallelism," arXiv 2401.10241, 2023
       (the section on ZB-V).
    .. [2] P. Qi et al., "Pipeline Parallelism with Controllable Memory," NeurIPS 2024.
    """
    wanted = pipeline.num_microbatches
    planned = max(wanted, 2 * pipeline.num_ranks - 1)  # the order is made for these
    for instruction in _planned(rank, pipeline.num_ranks, planned):
        if instruction.microbatch < wanted:
            yield instruction


def _planned(rank: int, num_ranks: int, num_microbatches: int) -> Iterator[Instruction]:
    below = num_ranks - rank
    next_one = dict.fromkeys(((op, leg) for op in Op for leg in (0, 1)), 0)

    def run(ops: str, leg: int) -> Iterator[Instruction]:
        """Yield the next micro-batch's passes on the way down (0) or up (1)."""
        stage = 2 * num_ranks - 1 - rank if leg else rank
        for op in map(Op, ops):
            yield Instruction(stage, op, next_one[op, leg])
            next_one[op, leg] += 1

    for _ in range(2 * below - 1):
        yield from run("F", 0)
    for _ in range(rank):
        yield from run("F", 1)
        yield from run("F", 0)
    for _ in range(below):
        yield from run("FIW", 1)
    while next_one[Op.F, 1] < num_microbatches:
        yield from run("FIW" if next_one[Op.F, 0] < num_microbatches else "IW", 0)
        yield from run("FIW", 1)
    for _ in range(rank):
        yield from run("I", 0)
        yield from run("I", 1)
    for _ in range(below):
        yield from run("IW", 0)
    for leg in (1, 0):
        for _ in range(num_microbatches - next_one[Op.W, leg]):
            yield from run("W", leg)


@closed_form("zb-v")
def zb_v_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P - 1) F / 2: no rank idles between its first and its last pass."""
    f_s, i_s, w_s = spent.f_s, spent.i_s, spent.w_s
    is_balanced = same(f_s, i_s) and (f_s / 2 <= w_s <= f_s or same(f_s, w_s))
    return ClosedForm(
        (pipeline.num_ranks - 1) * f_s / 2,
        holds=is_balanced and pipeline.num_microbatches >= 2 * pipeline.num_ranks,
        condition="F = I, F / 2 <= W <= F, n >= 2P",
    )
