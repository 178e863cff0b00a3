"""GPipe: all forward passes, then all backward passes."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.schedules.ir import Instruction, Op, Pipeline, schedule


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
