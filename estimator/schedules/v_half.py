"""V-Half: a V with half of 1F1B's activation memory and about half its bubble."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.building_block import Block, unrolled
from estimator.schedules.notation import Instruction, Pipeline
from estimator.schedules.programs import schedule


@schedule("v-half")
def v_half(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``(P + 2) // 2`` activations of 1F1B's size are held at most.

    References
    ----------
    .. [1] P. Qi et al., "Pipeline Parallelism with Controllable Memory," NeurIPS 2024.
    """
    block = v_half_block(pipeline.num_ranks)
    return iter(unrolled(block, pipeline.num_microbatches)[rank])


def v_half_block(num_ranks: int) -> Block:
    """Return the block that goes down by two units a rank, and up by one.

    Its backward pass does likewise: two on the way down, one on the way up.

    >>> v_half_block(3)
    ((0, 16), (2, 15), (4, 14), (5, 12), (6, 10), (7, 8))
    """
    num_stages, turn = 2 * num_ranks, num_ranks
    pause = 3 if num_ranks % 2 == 0 else 0  # else two passes would share a unit
    down = [(2 * stage, 3 * num_stages - 2 - stage + pause) for stage in range(turn)]
    up = [
        (turn - 1 + stage, 7 * num_ranks - 3 - 2 * stage + pause)
        for stage in range(turn, num_stages)
    ]
    return (*down, *up)
