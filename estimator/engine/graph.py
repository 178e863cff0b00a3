"""A program compiled into an immutable dependency graph.

Nodes are instructions and the sends between ranks, in topological order. A node's
duration is looked up by its class, so one graph serves any number of scenarios. A
directed link between two ranks carries one message at a time, in program order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.engine.tape import MAX_SOURCES, Tape, record
from estimator.schedules.ir import Instruction, Program, need, result

SEND = "SEND"
NO_NODE = -1


class DurationClass(NamedTuple):
    """What a duration depends on.

    For an instruction: its operation, its stage, and for a pair the partner's stage.
    For a send: ``SEND``, the sending and the receiving rank.
    """

    op: str
    stage: int
    partner: int = NO_NODE


def duration_class(instruction: Instruction) -> DurationClass:
    """Return the class that gives an instruction its duration."""
    partner = instruction.partner.stage if instruction.partner else NO_NODE
    return DurationClass(instruction.op.value, instruction.stage, partner)


@dataclass(frozen=True, eq=False)
class Graph:
    """Arrays of ``N`` nodes; a node's predecessors stand before it."""

    program: Program
    classes: tuple[DurationClass, ...]
    node_class: NDArray[np.int32]
    """Shape (N,): index into ``classes``."""
    node_rank: NDArray[np.int32]
    """Shape (N,): the rank that runs the node (a send: the sender)."""
    predecessors: NDArray[np.int32]
    """Shape (N, 3): node indices, padded with -1 behind the last one."""
    instructions: tuple[Instruction | None, ...]
    """The instruction of each node; None for a send."""

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
        return record(self.node_class.tolist(), [before for _, before in self.steps])

    def counts(self) -> NDArray[np.int64]:
        """Return how often each rank runs each class, shape (ranks, classes)."""
        table = np.zeros((len(self.program.ranks), len(self.classes)), dtype=np.int64)
        np.add.at(table, (self.node_rank, self.node_class), 1)
        sends = [index for index, made in enumerate(self.classes) if made.op == SEND]
        table[:, sends] = 0
        return table


def consumers(program: Program) -> dict[Instruction, int]:
    """Return for each result that another rank waits for the rank that does."""
    last_stage = program.num_stages - 1
    home = {
        name: rank
        for rank, instructions in enumerate(program.ranks)
        for instruction in instructions
        for part in instruction.parts
        if (name := result(part)) is not None
    }
    return {
        wanted: rank
        for rank, instructions in enumerate(program.ranks)
        for instruction in instructions
        for part in instruction.parts
        if (wanted := need(part, last_stage)) is not None and home[wanted] != rank
    }


def compile_program(program: Program) -> Graph:
    """Return the dependency graph of a checked program."""
    remote, last_stage = consumers(program), program.num_stages - 1
    classes: dict[DurationClass, int] = {}
    node_class: list[int] = []
    node_rank: list[int] = []
    predecessors: list[list[int]] = []
    made: list[Instruction | None] = []

    def add(kind: DurationClass, rank: int, before: list[int]) -> int:
        node_class.append(classes.setdefault(kind, len(classes)))
        node_rank.append(rank)
        predecessors.append(before)
        return len(node_class) - 1

    arrival: dict[Instruction, int] = {}
    link_tail: dict[tuple[int, int], int] = {}
    asleep: dict[Instruction, int] = {}
    position = [0] * len(program.ranks)
    tail = [NO_NODE] * len(program.ranks)
    awake = deque(range(len(program.ranks)))
    while awake:
        rank = awake.popleft()
        instructions = program.ranks[rank]
        while position[rank] < len(instructions):
            instruction = instructions[position[rank]]
            wanted = [
                name
                for part in instruction.parts
                if (name := need(part, last_stage)) is not None
                and remote.get(name) == rank
            ]
            missing = [name for name in wanted if name not in arrival]
            if missing:
                asleep[missing[0]] = rank
                break
            before = [tail[rank]] if tail[rank] != NO_NODE else []
            before += [arrival[name] for name in wanted]
            tail[rank] = add(duration_class(instruction), rank, before)
            made.append(instruction)
            position[rank] += 1
            for part in instruction.parts:
                name = result(part)
                if name is None or name not in remote:
                    continue
                link = (rank, remote[name])
                queue = [link_tail[link]] if link in link_tail else []
                arrival[name] = link_tail[link] = add(
                    DurationClass(SEND, *link), rank, [tail[rank], *queue]
                )
                made.append(None)
                if name in asleep:
                    awake.append(asleep.pop(name))
    padded = np.full((len(predecessors), MAX_SOURCES), NO_NODE, dtype=np.int32)
    for index, before in enumerate(predecessors):
        padded[index, : len(before)] = before
    return Graph(
        program=program,
        classes=tuple(classes),
        node_class=np.array(node_class, dtype=np.int32),
        node_rank=np.array(node_rank, dtype=np.int32),
        predecessors=padded,
        instructions=tuple(made),
    )
