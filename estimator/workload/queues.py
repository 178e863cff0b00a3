"""The operations of a chunk while they are put into the queues of its streams."""

from __future__ import annotations

from dataclasses import dataclass, field

from estimator.engine.operations import Operation, Stream
from estimator.schedules.notation import Op
from estimator.workload.stages import Element
from estimator.workload.timing import Times

Need = tuple[int, ...]
"""Operations that must have ended; none where the chunk's start will do."""


@dataclass
class Queue:
    """Operations in stream order."""

    made: list[Operation] = field(default_factory=list)
    barrier: Need = ()
    """What all that is added from now on waits for."""

    def add(
        self,
        element: Element,
        task: str,
        stream: Stream,
        times: Times,
        op: Op,
        need: Need = (),
    ) -> Need:
        """Append an operation behind those in ``need``; return what waits for it."""
        self.made.append(
            Operation(
                task=task,
                stream=stream,
                seconds=times.seconds,
                needs=tuple(sorted({*need, *self.barrier})),
                parts=tuple(times.causes.items()),
                op=op,
                layer=element.name,
                flop=times.flop,
                num_bytes=times.num_bytes,
                num_kernels=times.num_kernels,
                num_checked=times.num_checked,
            )
        )
        return (len(self.made) - 1,)

    def repeated_from(self, first: int) -> None:
        """Make what was added since ``first`` a part of the backward pass."""
        self.made[first:] = [made._replace(op=Op.I) for made in self.made[first:]]
