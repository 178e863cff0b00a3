"""A program's passes as numbers, and an order in which its ranks get through them.

Results that others wait for are numbered by stage, direction and micro-batch. The
number behind the last one stands for none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from estimator.schedules.notation import Instruction, Op, Program

Ints = NDArray[np.int64]

NUMBERS = {op: number for number, op in enumerate((Op.F, Op.I, Op.W, Op.B))}
F, W, UNKNOWN = NUMBERS[Op.F], NUMBERS[Op.W], len(NUMBERS)


@dataclass(frozen=True, eq=False)
class Passes:
    """Every simple instruction of a program, rank by rank in the order they run."""

    num_microbatches: int
    rank: Ints
    index: Ints
    """Which of the program's instructions it is, or is a half of."""
    stage: Ints
    op: Ints
    microbatch: Ints

    @cached_property
    def num_stages(self) -> int:
        """Stages that a micro-batch passes."""
        return int(self.stage.max(initial=-1)) + 1

    @property
    def nothing(self) -> int:
        """The number of no result."""
        return 2 * self.num_stages * self.num_microbatches

    def are_complete(self) -> bool:
        """Return whether each stage's holder runs each micro-batch once either way.

        Forward, and whole or in halves backward; or, in all of them, forward alone.
        """
        num_chunks = self.num_stages * self.num_microbatches
        if not 0 < num_chunks <= len(self.stage):  # so that tables stay small
            return False
        lowest = min(self.stage.min(), self.microbatch.min())
        beyond = self.microbatch.max() >= self.num_microbatches
        if lowest < 0 or beyond or self.op.max() == UNKNOWN:
            return False
        chunk = self.stage * self.num_microbatches + self.microbatch
        runs = np.bincount(
            self.op * num_chunks + chunk, minlength=UNKNOWN * num_chunks
        ).reshape(UNKNOWN, num_chunks)
        forward, by_input, by_weights, whole = runs
        backward = int(self.op.max() != F)
        holder = np.empty(num_chunks, dtype=np.int64)
        holder[chunk] = self.rank
        return bool(
            (forward == 1).all()
            and (whole + by_input == backward).all()
            and (whole + by_weights == backward).all()
            and (holder[chunk] == self.rank).all()
        )

    @cached_property
    def results(self) -> Ints:
        """The number of what each leaves for others; see ``notation.result``."""
        numbers = self._numbers(self.stage, self.op != F)
        return np.where(self.op == W, self.nothing, numbers)

    @cached_property
    def needs(self) -> Ints:
        """The number of what each waits for; see ``notation.need``."""
        stage, forward, own = self.stage, self.op == F, self.op == W
        turns = ~forward & ~own & (stage == self.num_stages - 1)
        step = np.where(own | turns, 0, np.where(forward, -1, 1))
        numbers = self._numbers(stage + step, ~forward & ~turns)
        return np.where(forward & (stage == 0), self.nothing, numbers)

    @cached_property
    def consumer(self) -> Ints:
        """For each result, the rank that waits for it from another; -1 for none."""
        waits = self.remote_needs != self.nothing
        found = np.full(self.nothing + 1, -1, dtype=np.int64)
        found[self.remote_needs[waits]] = self.rank[waits]
        return found

    @cached_property
    def remote_needs(self) -> Ints:
        """``needs``, of those results only that another rank leaves."""
        home = np.full(self.nothing + 1, -1, dtype=np.int64)
        home[self.results] = self.rank
        return np.where(home[self.needs] == self.rank, self.nothing, self.needs)

    def by_instruction(self, numbers: Ints) -> tuple[list[int], list[int]]:
        """Return the numbers of each instruction's first and second half.

        An instruction that is no pair has nothing in the second.
        """
        is_second = np.diff(self.index, prepend=-1) == 0
        table = np.full((2, self.index.max(initial=-1) + 1), self.nothing)
        table[is_second.astype(np.int64), self.index] = numbers
        first, second = table.tolist()
        return first, second

    def _numbers(self, stage: Ints, is_backward: NDArray[np.bool_]) -> Ints:
        return (2 * stage + is_backward) * self.num_microbatches + self.microbatch


def named(number: int, num_microbatches: int) -> Instruction:
    """Return the result of a number."""
    way, microbatch = divmod(number, num_microbatches)
    return Instruction(way // 2, Op.B if way % 2 else Op.F, microbatch)


def passes(made: Program) -> Passes:
    """Return the passes of a program as columns of numbers."""
    steps = list(chain.from_iterable(made.ranks))
    rank = np.repeat(np.arange(len(made.ranks)), [len(row) for row in made.ranks])
    index = np.arange(len(steps))
    if made.has_pairs:
        num_parts = [len(step.parts) for step in steps]
        rank, index = np.repeat(rank, num_parts), np.repeat(index, num_parts)
        steps = [part for step in steps for part in step.parts]
    stages, ops, microbatches, _ = (
        zip(*steps, strict=True) if steps else ((), (), (), ())
    )
    return Passes(
        made.pipeline.num_microbatches,
        rank=rank,
        index=index,
        stage=np.array(stages, dtype=np.int64),
        op=np.array([NUMBERS.get(op, UNKNOWN) for op in ops], dtype=np.int64),
        microbatch=np.array(microbatches, dtype=np.int64),
    )


@dataclass(frozen=True)
class Order:
    """How far the ranks get, each in its own order, when results are waited for."""

    done: list[int]
    """The instructions that run, counted rank by rank, each behind what it needs."""
    stuck: dict[int, tuple[int, int]]
    """Where each rank stands that cannot go on: its step, and what is never there."""


def order(made: Program, found: Passes) -> Order:
    """Return an order in which the ranks of a complete program get through it."""
    ends = list(accumulate(map(len, made.ranks)))
    begins = [0, *ends[:-1]]
    position = list(begins)
    needs, others = found.by_instruction(found.needs)
    results, more = found.by_instruction(found.results)
    is_there = bytearray(found.nothing + 1)
    is_there[found.nothing] = True
    asleep: dict[int, list[int]] = {}
    done: list[int] = []
    awake = deque(range(len(ends)))
    while awake:
        rank = awake.popleft()
        for index in range(position[rank], ends[rank]):
            wanted = needs[index] if not is_there[needs[index]] else others[index]
            if not is_there[wanted]:
                asleep.setdefault(wanted, []).append(rank)
                break
            position[rank] = index + 1
            done.append(index)
            for name in (results[index], more[index]):
                if not is_there[name]:
                    is_there[name] = True
                    awake.extend(asleep.pop(name, ()))
    stuck = {
        rank: (position[rank] - begins[rank], wanted)
        for wanted, ranks in asleep.items()
        for rank in ranks
    }
    return Order(done, dict(sorted(stuck.items())))
