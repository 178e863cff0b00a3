"""DualPipe: micro-batches enter the pipeline from both ends and meet in pairs.

Each rank holds two stages, one for either direction. Stages are counted along a
micro-batch's own way: direction 0 runs micro-batches ``0 .. n/2 - 1`` from rank 0 up,
direction 1 runs ``n/2 .. n - 1`` from the last rank down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from estimator.errors import InfeasibleError
from estimator.schedules.ir import Instruction, Op, Pipeline, overlapped, schedule

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


def bidirectional(  # noqa: C901 - eight steps in a row
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
    done_f, done_b = [0, 0], [0, 0]
    weights: deque[Chunk] = deque()

    def forward(phase: int) -> Instruction:
        stage, microbatch = chunk(phase, done_f[phase])
        done_f[phase] += 1
        return Instruction(stage, Op.F, microbatch)

    def backward(phase: int, *, is_split: bool = False) -> Instruction:
        stage, microbatch = chunk(phase, done_b[phase])
        done_b[phase] += 1
        if is_split:
            weights.append((stage, microbatch))
        return Instruction(stage, Op.I if is_split else Op.B, microbatch)

    def pair(forward_phase: int, backward_phase: int) -> Instruction:
        ahead, back = forward(forward_phase), backward(backward_phase)
        return overlapped(ahead.stage, ahead.microbatch, back.stage, back.microbatch)

    def weight() -> Instruction:
        stage, microbatch = weights.popleft()
        return Instruction(stage, Op.W, microbatch)

    before = half - rank - 1
    for _ in range(2 * before):
        yield forward(0)
    for _ in range(rank + 1):
        yield forward(0)
        yield forward(1)
    for _ in range(before):
        yield backward(1, is_split=True)
        yield weight()
        yield forward(1)
    for index in range(chunks_per_phase - 2 * half + rank + 1):
        if index == 0 and is_middle:  # its input has only just been made here
            yield forward(0)
            yield backward(1)
        else:
            yield pair(0, 1)
        yield pair(1, 0)
    for _ in range(before):
        yield backward(1)
        yield pair(1, 0)
    for index in range(2 * (rank + 1)):  # the second half leaves its weights for later
        yield backward((index + 1) % 2, is_split=index >= rank + 1)
    for _ in range(before):
        yield weight()
        yield backward(0, is_split=True)
    while weights:
        yield weight()
