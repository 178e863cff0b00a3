"""A program compiled into an immutable dependency graph.

Nodes are instructions and the sends between ranks, in topological order; or, in finer
detail, the operations inside instructions instead of these. A node's duration is looked
up by its class, so one graph serves any number of scenarios. A directed link between
two ranks carries one message at a time, in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.engine.operations import Operation, Stream
from estimator.engine.tape import MAX_SOURCES, NO_NODE, PADDING, Tape, record
from estimator.schedules.notation import Instruction, Op, Program
from estimator.schedules.order import named, order, passes


class Between(StrEnum):
    """What a node between instructions does."""

    SEND = "SEND"
    JOIN = "JOIN"
    """It takes no time: a rank's streams wait for each other."""


SEND, JOIN = Between


class DurationClass(NamedTuple):
    """What a duration depends on.

    For an instruction: its operation, its stage, and for a pair the partner's stage.
    For a send: ``SEND``, the sending and the receiving rank. For a join: ``JOIN``.
    """

    op: Op | Between
    stage: int
    partner: int = NO_NODE


Lowering = Callable[[DurationClass], Sequence[Operation]]
"""The operations inside an instruction class, in stream order."""


def duration_class(instruction: Instruction) -> DurationClass:
    """Return the class that gives an instruction its duration."""
    partner = instruction.partner.stage if instruction.partner else NO_NODE
    return DurationClass(instruction.op, instruction.stage, partner)


@dataclass(frozen=True, eq=False)
class Graph:
    """Arrays of ``N`` nodes; a node's predecessors stand before it."""

    program: Program
    classes: tuple[DurationClass, ...]
    class_operation: tuple[int, ...]
    """Which operation of its instruction a class is; -1 where it is the whole."""
    node_class: NDArray[np.int32]
    """Shape (N,): index into ``classes``."""
    node_rank: NDArray[np.int32]
    """Shape (N,): the rank that runs the node (a send: the sender)."""
    predecessors: NDArray[np.int32]
    """Shape (N, 3): node indices, padded with -1 behind the last one."""
    instructions: tuple[Instruction | None, ...]
    """The instruction of each node; None for a send."""
    carried: tuple[int, ...]
    """The number of the result that a send carries; -1 for other nodes."""

    @cached_property
    def messages(self) -> tuple[Instruction | None, ...]:
        """The result that a send carries; None for other nodes."""
        size = self.program.pipeline.num_microbatches
        return tuple(
            None if number == NO_NODE else named(number, size)
            for number in self.carried
        )

    @cached_property
    def steps(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Each node's class and predecessors."""
        return tuple(
            (kind, tuple(node for node in before if node != NO_NODE))
            for kind, before in zip(
                self.node_class.tolist(), self.predecessors.tolist(), strict=True
            )
        )

    @cached_property
    def tape(self) -> Tape:
        """The nodes as a tape for the batch clocks."""
        return record(self.node_class, self.predecessors)

    def counts(self) -> NDArray[np.int64]:
        """Return how often each rank runs each class, shape (ranks, classes)."""
        table = np.zeros((len(self.program.ranks), len(self.classes)), dtype=np.int64)
        np.add.at(table, (self.node_rank, self.node_class), 1)
        sends = [index for index, made in enumerate(self.classes) if made.op == SEND]
        table[:, sends] = 0
        return table


def consumers(program: Program) -> dict[Instruction, int]:
    """Return for each result that another rank waits for the rank that does.

    Parameters
    ----------
    program : Program
        A checked one: each result has one maker and one consumer.
    """
    found = passes(program)
    consumer = found.consumer.tolist()
    return {
        named(at, found.num_microbatches): rank
        for at, rank in enumerate(consumer)
        if rank >= 0
    }


@dataclass
class _Nodes:
    """A graph's nodes while they are added."""

    classes: dict[tuple[DurationClass, int], int] = field(default_factory=dict)
    node_class: list[int] = field(default_factory=list)
    node_rank: list[int] = field(default_factory=list)
    predecessors: list[int] = field(default_factory=list)
    """Three for each node, padded; no lists, which there would be too many of."""
    instructions: list[Instruction | None] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)

    def add(
        self,
        kind: DurationClass,
        rank: int,
        before: list[int],
        instruction: Instruction | None,
        *,
        operation: int = NO_NODE,
        carried: int = NO_NODE,
    ) -> int:
        """Append a node behind those in ``before`` and return its index."""
        made = self.classes.setdefault((kind, operation), len(self.classes))
        self.node_class.append(made)
        self.node_rank.append(rank)
        self.predecessors += (*before, *PADDING[len(before)])
        self.instructions.append(instruction)
        self.carried.append(carried)
        return len(self.node_class) - 1

    def add_operations(
        self,
        operations: Sequence[Operation],
        rank: int,
        before: list[int],
        instruction: Instruction,
    ) -> int:
        """Append an instruction's operations; the last node ends when all have.

        Streams keep their order, so that of the operations that one waits for only
        the last on each stream counts.
        """
        kind = duration_class(instruction)
        tails: dict[Stream, int] = {}
        made: list[int] = []
        for index, (_, stream, _, needs, *_) in enumerate(operations):
            waits = {operations[other].stream: made[other] for other in sorted(needs)}
            if stream in tails:
                waits[stream] = tails[stream]
            behind = self._few(list(waits.values()) or before, rank, instruction)
            tails[stream] = self.add(kind, rank, behind, instruction, operation=index)
            made.append(tails[stream])
        if len(tails) == 1:
            return made[-1]
        behind = self._few(list(tails.values()) or before, rank, instruction)
        return self._join(behind, rank, instruction)

    def _few(self, before: list[int], rank: int, instruction: Instruction) -> list[int]:
        """Return at most ``MAX_SOURCES`` nodes that end when all before have."""
        while len(before) > MAX_SOURCES:
            joined = self._join(before[:MAX_SOURCES], rank, instruction)
            before = [*before[MAX_SOURCES:], joined]
        return before

    def _join(self, before: list[int], rank: int, instruction: Instruction) -> int:
        """Append a node that takes no time behind those in ``before``."""
        return self.add(DurationClass(JOIN, NO_NODE), rank, before, instruction)

    def graph(self, program: Program) -> Graph:
        """Return the finished graph."""
        predecessors = np.array(self.predecessors, dtype=np.int32)
        return Graph(
            program=program,
            classes=tuple(kind for kind, _ in self.classes),
            class_operation=tuple(index for _, index in self.classes),
            node_class=np.array(self.node_class, dtype=np.int32),
            node_rank=np.array(self.node_rank, dtype=np.int32),
            predecessors=predecessors.reshape(-1, MAX_SOURCES),
            instructions=tuple(self.instructions),
            carried=tuple(self.carried),
        )


def compile_program(program: Program, operations: Lowering | None = None) -> Graph:
    """Return the dependency graph of a checked program.

    Parameters
    ----------
    program : Program
        What each rank does, in order.
    operations : callable, optional
        The operations inside an instruction class: nodes are these instead of whole
        instructions. An instruction starts when both streams of its rank are free.

    Examples
    --------
    >>> from estimator.schedules.notation import Pipeline
    >>> from estimator.schedules.programs import program
    >>> made = program("1f1b", Pipeline(num_ranks=2, num_microbatches=3))
    >>> len(compile_program(made).steps)  # 12 passes and 6 sends
    18
    """
    lowered = cache(operations) if operations else None
    found, nodes = passes(program), _Nodes()
    instructions = list(chain.from_iterable(program.ranks))
    ranks = list(chain(*(repeat(n, len(row)) for n, row in enumerate(program.ranks))))
    needs, others = found.by_instruction(found.remote_needs)
    results, more = found.by_instruction(found.results)
    consumer = found.consumer.tolist()
    arrival = {found.nothing: NO_NODE}
    link_tail: dict[tuple[int, int], int] = {}
    tail = [NO_NODE] * len(program.ranks)
    for index in order(program, found).done:
        rank, instruction = ranks[index], instructions[index]
        waits = (tail[rank], arrival[needs[index]], arrival[others[index]])
        before = [node for node in waits if node != NO_NODE]
        kind = duration_class(instruction)
        tail[rank] = (
            nodes.add_operations(lowered(kind), rank, before, instruction)
            if lowered
            else nodes.add(kind, rank, before, instruction)
        )
        for name in (results[index], more[index]):
            if consumer[name] == NO_NODE:
                continue
            link = (rank, consumer[name])
            behind = (
                [tail[rank], link_tail[link]] if link in link_tail else [tail[rank]]
            )
            arrival[name] = link_tail[link] = nodes.add(
                DurationClass(SEND, *link), rank, behind, None, carried=name
            )
    return nodes.graph(program)
