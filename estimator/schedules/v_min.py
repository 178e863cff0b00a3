"""V-Min: the V that holds activations shortest, a third of 1F1B's memory."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.building_block import Block, unrolled
from estimator.schedules.notation import Instruction, Pipeline
from estimator.schedules.programs import schedule


@schedule("v-min")
def v_min(rank: int, pipeline: Pipeline) -> Iterator[Instruction]:
    """Yield rank's work; ``(P + 4) // 3`` activations of 1F1B's size are held at most.

    References
    ----------
    .. [1] P. Qi et al., "Pipeline Parallelism with Controllable Memory," NeurIPS 2024.
    """
    block = v_min_block(pipeline.num_ranks)
    return iter(unrolled(block, pipeline.num_microbatches)[rank])


def v_min_block(num_ranks: int) -> Block:
    """Return the block that passes a stage per unit, down and up, then back.

    >>> v_min_block(2)
    ((0, 7), (1, 6), (2, 5), (3, 4))
    """
    num_stages = 2 * num_ranks
    pause = 2 if num_ranks % 3 == 0 else 0  # else two passes would share a unit
    return tuple(
        (stage, 2 * num_stages - 1 - stage + pause) for stage in range(num_stages)
    )
