"""DualPipe: micro-batches enter the pipeline from both ends and meet in pairs.

Each rank holds two stages, one for either direction. Stages are counted along a
micro-batch's own way: direction 0 runs micro-batches ``0 .. n/2 - 1`` from rank 0 up,
direction 1 runs ``n/2 .. n - 1`` from the last rank down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from estimator.ground.errors import InfeasibleError
from estimator.schedules.closed_form import ClosedForm, Durations, closed_form, same
from estimator.schedules.notation import Instruction, Op, Pipeline, overlapped
from estimator.schedules.programs import schedule

Chunk = tuple[int, int]
"""Stage and micro-batch."""


@schedule("dualpipe")
def dualpipe(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``num_ranks + 1`` activations are alive at the peak.

    Raises
    ------
    InfeasibleError
        If ranks or micro-batches are odd, or micro-batches fewer than twice the ranks.

    References
    ----------
    .. [1] DeepSeek-AI, "DeepSeek-V3 Technical Report," arXiv 2412.19437, 2024.
    .. [2] deepseek-ai/DualPipe, ``dualpipe.py``: the order of the eight steps.
    """
    num_ranks, num_microbatches = pipeline.num_ranks, pipeline.num_microbatches
    if num_ranks % 2:
        raise InfeasibleError(
            f"dualpipe pairs its ranks, and {num_ranks} is odd",
            fix=f"num_ranks: {num_ranks + 1}",
        )
    if num_microbatches % 2 or num_microbatches < 2 * num_ranks:
        raise InfeasibleError(
            f"dualpipe on {num_ranks} ranks needs an even number of at least "
            f"{2 * num_ranks} micro-batches, not {num_microbatches}",
            fix="num_microbatches: "
            f"{max(2 * num_ranks, num_microbatches + num_microbatches % 2)}",
        )
    is_second_half = rank >= num_ranks // 2
    half_rank = min(rank, num_ranks - 1 - rank)

    def chunk(phase: int, index: int) -> Chunk:
        direction = phase ^ is_second_half
        stage = num_ranks - 1 - rank if direction else rank
        return stage, direction * (num_microbatches // 2) + index

    return bidirectional(
        num_ranks // 2,
        half_rank,
        num_microbatches // 2,
        chunk,
        is_middle=half_rank == num_ranks // 2 - 1,
    )


@closed_form("dualpipe")
def dualpipe_bubble(pipeline: Pipeline, spent: Durations) -> ClosedForm:
    """Return (P / 2 - 1)(FB + B - 3W)."""
    chunk_s = spent.fb_s + spent.b_s - 3 * spent.w_s
    holds, condition = dualpipe_regime(spent)
    return ClosedForm((pipeline.num_ranks // 2 - 1) * chunk_s, holds, condition)


def dualpipe_regime(spent: Durations) -> tuple[bool, str]:
    """Return whether DualPipe's published bubble is exact, and when it is.

    Elsewhere ranks idle differently; the formula bounds them from above for W <= F <= I
    and F + I <= FB <= F + B.
    """
    is_plain = same(spent.b_s, 2 * spent.f_s) and same(spent.fb_s, 3 * spent.f_s)
    return spent.are_equal and is_plain, "F = I = W, B = I + W, FB = F + B"


class _Phases:
    """What comes next in a rank's two phases, one for each of its stages."""

    def __init__(self, chunk: Callable[[int, int], Chunk]) -> None:
        self.chunk = chunk
        self.num_forward, self.num_backward = [0, 0], [0, 0]
        self.weights: deque[Chunk] = deque()

    def forward(self, phase: int) -> Instruction:
        """Return the phase's next forward chunk."""
        stage, microbatch = self.chunk(phase, self.num_forward[phase])
        self.num_forward[phase] += 1
        return Instruction(stage, Op.F, microbatch)

    def backward(self, phase: int, *, is_split: bool = False) -> Instruction:
        """Return the phase's next backward chunk; a split one owes its weight pass."""
        stage, microbatch = self.chunk(phase, self.num_backward[phase])
        self.num_backward[phase] += 1
        if is_split:
            self.weights.append((stage, microbatch))
        return Instruction(stage, Op.I if is_split else Op.B, microbatch)

    def pair(self, forward_phase: int, backward_phase: int) -> Instruction:
        """Return the overlapped pair of one phase forward and the other backward."""
        ahead, back = self.forward(forward_phase), self.backward(backward_phase)
        return overlapped(ahead.stage, ahead.microbatch, back.stage, back.microbatch)

    def weight(self) -> Instruction:
        """Return the oldest weight pass owed."""
        stage, microbatch = self.weights.popleft()
        return Instruction(stage, Op.W, microbatch)


def bidirectional(
    half: int,
    rank: int,
    chunks_per_phase: int,
    chunk: Callable[[int, int], Chunk],
    *,
    is_middle: bool,
) -> Iterator[Instruction]:
    """Yield the eight steps that DualPipe and DualPipeV share, for one rank.

    ``chunk(phase, index)`` names the stage and micro-batch of the phase's next chunk;
    ``half`` is half the number of stages in a direction, ``rank`` counts from the end.
    """
    phases, before = _Phases(chunk), half - rank - 1
    for _ in range(2 * before):
        yield phases.forward(0)
    for _ in range(rank + 1):
        yield phases.forward(0)
        yield phases.forward(1)
    for _ in range(before):
        yield phases.backward(1, is_split=True)
        yield phases.weight()
        yield phases.forward(1)
    for index in range(chunks_per_phase - 2 * half + rank + 1):
        if index == 0 and is_middle:  # its input has only just been made here
            yield phases.forward(0)
            yield phases.backward(1)
        else:
            yield phases.pair(0, 1)
        yield phases.pair(1, 0)
    for _ in range(before):
        yield phases.backward(1)
        yield phases.pair(1, 0)
    for index in range(2 * (rank + 1)):  # the second half leaves its weights for later
        yield phases.backward((index + 1) % 2, is_split=index >= rank + 1)
    for _ in range(before):
        yield phases.weight()
        yield phases.backward(0, is_split=True)
    while phases.weights:
        yield phases.weight()
