"""What matrix products lose of a GPU's SMs to collectives that run beside them.

Lost are the collective's SMs, of matrix products only: attention and memory-bound
kernels keep their pace (trace of deepseek-ai/profile-data). NCCL's blocks share no SM
with other kernels (NVIDIA/nccl, issue 689; in issue 1432 15 % are taken).
"""

from __future__ import annotations

from collections.abc import Iterable

from estimator.engine.operations import Operation, Stream, play
from estimator.ground.lanes import largest
from estimator.workload.causes import Cause


def gemm_s(made: Iterable[Operation]) -> float:
    """Return the seconds of matrix products among operations."""
    return sum(
        seconds
        for operation in made
        if operation.stream is Stream.COMPUTE
        for cause, seconds in operation.parts
        if cause == Cause.GEMM
    )


def beside_collectives(made: list[Operation], share: float) -> list[Operation]:
    """Return operations, products as slow as collectives beside them make them.

    ``share`` is what collectives take of the SMs. Expert exchanges have their own
    account: products beside them are timed on the SMs that are left.
    """
    compute_s = beside_s = 0.0
    is_beside = False
    for operation in made:
        if operation.stream is Stream.COMPUTE:
            compute_s += operation.seconds
        elif operation.stream in (Stream.WEIGHTS, Stream.COMMUNICATION) and not any(
            cause == Cause.ALL_TO_ALL for cause, _ in operation.parts
        ):
            beside_s += operation.seconds
            is_beside = True
    if not share or not is_beside:
        return made
    on_gpu = [operation for operation in made if operation.stream is not Stream.HOST]
    wall_s = play(on_gpu).makespan_s
    hidden_s = largest(0.0, beside_s - (wall_s - compute_s))
    longer = share * hidden_s / wall_s
    return [_stretched(operation, longer) for operation in made]


def _stretched(operation: Operation, longer: float) -> Operation:
    """Return an operation on the compute stream whose products take longer."""
    if operation.stream is not Stream.COMPUTE:
        return operation
    parts = tuple(
        (cause, seconds * (1 + longer) if cause == Cause.GEMM else seconds)
        for cause, seconds in operation.parts
    )
    added = sum(seconds for _, seconds in parts) - sum(
        seconds for _, seconds in operation.parts
    )
    return operation._replace(seconds=operation.seconds + added, parts=parts)
