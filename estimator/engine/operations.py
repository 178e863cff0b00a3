"""Operations of one chunk on its streams, and the clock of a chunk on its own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from estimator.ground.lanes import largest
from estimator.schedules.notation import Op


class Stream(StrEnum):
    """An in-order queue of one GPU."""

    COMPUTE = "compute"
    COMMUNICATION = "communication"
    """Exchanges of activations: experts, tensor parallelism."""
    WEIGHTS = "weights"
    """Sharded weights gathered and gradients scattered (FSDP)."""
    HOST = "host"
    """Activations to host memory and back."""
    LAUNCH = "launch"
    """The host puts kernels into the queues of the others."""


class Operation(NamedTuple):
    """A stretch of work on one stream; it starts behind its stream's previous one."""

    task: str
    """What it does, for whoever reads a trace."""
    stream: Stream
    seconds: float
    needs: tuple[int, ...] = ()
    """Indices of earlier operations of the chunk that must have ended."""
    parts: tuple[tuple[str, float], ...] = ()
    """What the time is spent on: cause and seconds."""
    op: Op | None = None
    """The pass that it belongs to: F, I or W."""
    layer: str = ""
    """Whose work it is: a layer, or an end of the model."""
    flop: float = 0.0
    num_bytes: float = 0.0
    """Bytes through memory, or over the links."""
    num_kernels: int = 0
    """Kernels that the host launches for it."""
    num_checked: int = 0
    """Ranks of its collectives, where the host checks those before they run."""

    @property
    def name(self) -> str:
        """Whose work it is, and what it does."""
        return f"{self.layer} {self.task}" if self.layer else self.task


class Played(NamedTuple):
    """A chunk run alone: when each operation starts and ends, and the whole."""

    start_s: tuple[float, ...]
    end_s: tuple[float, ...]
    makespan_s: float


def play(operations: Sequence[Operation]) -> Played:
    """Return the clock of a chunk whose streams start empty at time 0.

    Examples
    --------
    >>> compute = Operation("mlp", Stream.COMPUTE, 2.0)
    >>> send = Operation("combine", Stream.COMMUNICATION, 1.0, needs=(0,))
    >>> play([compute, send]).makespan_s
    3.0
    """
    free_s = dict.fromkeys(Stream, 0.0)
    start_s: list[float] = []
    end_s: list[float] = []
    for operation in operations:
        begin = free_s[operation.stream]
        for index in operation.needs:
            begin = largest(begin, end_s[index])
        start_s.append(begin)
        end_s.append(begin + operation.seconds)
        free_s[operation.stream] = end_s[-1]
    return Played(tuple(start_s), tuple(end_s), largest(0.0, *end_s))
