"""Instructions, pipelines and programs: the language that every schedule is written in.

Notation follows ``torch.distributed.pipelining``: ``2F0`` is the forward pass of
micro-batch 0 on stage 2; ``I`` is the backward pass with respect to the input, ``W``
with respect to the weights, ``B`` both. ``(0F1;1B0)OVERLAP_F_B`` is a forward and a
backward chunk run as one overlapped pair.

A program lists computation only. What must be sent where follows from the stages: a
forward pass needs the previous stage's, a backward pass the next stage's.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from estimator.errors import InfeasibleError, InputError, ScheduleError
from estimator.registry import Registry

MAX_CHUNKS = 1_000_000
"""Chunks of one step up to which it is simulated."""


class Op(StrEnum):
    """What an instruction does."""

    F = "F"
    I = "I"  # noqa: E741 - the field's letter for the input gradient
    W = "W"
    B = "B"
    FB = "OVERLAP_F_B"


class Instruction(NamedTuple):
    """One chunk of work; for an overlapped pair, its forward half and its partner."""

    stage: int
    op: Op
    microbatch: int
    partner: Instruction | None = None

    @property
    def parts(self) -> tuple[Instruction, ...]:
        """The simple instructions inside: one, or a pair's two halves."""
        if self.partner is None:
            return (self,)
        return (Instruction(self.stage, Op.F, self.microbatch), self.partner)

    def __str__(self) -> str:
        if self.partner is None:
            return f"{self.stage}{self.op.value}{self.microbatch}"
        forward, backward = self.parts
        return f"({forward};{backward}){Op.FB.value}"


def overlapped(
    forward_stage: int,
    forward_microbatch: int,
    backward_stage: int,
    backward_microbatch: int,
) -> Instruction:
    """Return the overlapped pair of a forward chunk and a full backward chunk.

    >>> str(overlapped(0, 1, 1, 0))
    '(0F1;1B0)OVERLAP_F_B'
    """
    backward = Instruction(backward_stage, Op.B, backward_microbatch)
    return Instruction(forward_stage, Op.FB, forward_microbatch, backward)


_SIMPLE = re.compile(r"\s*(\d+)([FIWB])(\d+)\s*\Z")
_PAIR = re.compile(r"\s*\(\s*(\d+)F(\d+)\s*;\s*(\d+)B(\d+)\s*\)\s*OVERLAP_F_B\s*\Z")


def parse_instruction(text: str) -> Instruction:
    """Return the instruction that ``text`` names.

    Raises
    ------
    InputError
        If it is not in the notation above.

    Examples
    --------
    >>> parse_instruction("3B1")
    Instruction(stage=3, op=<Op.B: 'B'>, microbatch=1, partner=None)
    """
    if match := _SIMPLE.match(text):
        return Instruction(int(match[1]), Op(match[2]), int(match[3]))
    if match := _PAIR.match(text):
        return overlapped(*(int(group) for group in match.groups()))
    raise InputError(
        f"{text.strip()[:60]!r} is not a pipeline instruction",
        fix="2F0, 2I0, 2W0, 2B0 or (0F1;1B0)OVERLAP_F_B: stage, operation, micro-batch",
    )


@dataclass(frozen=True)
class Pipeline:
    """The shape that a schedule is made for."""

    num_ranks: int
    num_microbatches: int
    stages_per_rank: int = 1

    def __post_init__(self) -> None:
        shape = (self.num_ranks, self.num_microbatches, self.stages_per_rank)
        if min(shape) < 1:
            raise InputError(
                f"ranks, micro-batches and stages per rank are at least 1, got {shape}"
            )


@dataclass(frozen=True)
class Program:
    """What each rank does, in its order."""

    schedule: str
    pipeline: Pipeline
    ranks: tuple[tuple[Instruction, ...], ...]

    @property
    def num_stages(self) -> int:
        """Stages that a micro-batch passes."""
        return 1 + max(
            part.stage
            for instructions in self.ranks
            for instruction in instructions
            for part in instruction.parts
        )

    def stages_of(self, rank: int) -> tuple[int, ...]:
        """Return the stages whose weights ``rank`` holds."""
        return tuple(
            sorted({part.stage for step in self.ranks[rank] for part in step.parts})
        )

    def in_flight(self) -> tuple[int, ...]:
        """Return the most activations alive on each rank, in chunks.

        A forward pass adds one; the backward pass (``B``, or ``I``) frees it. The new
        forward half of a pair counts before its backward half frees.
        """
        peaks = []
        for instructions in self.ranks:
            alive = peak = 0
            for instruction in instructions:
                for part in instruction.parts:
                    alive += {Op.F: 1, Op.B: -1, Op.I: -1}.get(part.op, 0)
                    peak = max(peak, alive)
            peaks.append(peak)
        return tuple(peaks)


Generator = Callable[[int, Pipeline], Iterator[Instruction]]

schedule: Registry[Generator] = Registry("schedule", package="estimator.schedules")
"""Schedule name -> generator of one rank's instructions."""


def program(name: str, pipeline: Pipeline) -> Program:
    """Return the checked program of the schedule called ``name``.

    Raises
    ------
    InputError
        If there is no such schedule.
    InfeasibleError
        If the schedule refuses this shape.
    """
    generate = schedule[name]
    shape = (pipeline.num_ranks, pipeline.num_microbatches, pipeline.stages_per_rank)
    if math.prod(shape) > MAX_CHUNKS:
        raise InfeasibleError(
            f"{shape[0]} ranks x {shape[1]:,} micro-batches x {shape[2]} stages are "
            f"more than {MAX_CHUNKS:,} chunks",
            why="each of them is simulated",
        )
    ranks = tuple(tuple(generate(rank, pipeline)) for rank in range(pipeline.num_ranks))
    made = Program(name, pipeline, ranks)
    check(made)
    return made


def need(part: Instruction, last_stage: int) -> Instruction | None:
    """Return the result that a simple instruction waits for, by its producer's name.

    Backward results are named ``B`` whether a full backward or an ``I`` makes them.
    """
    stage, op, microbatch, _ = part
    if op is Op.F:
        return Instruction(stage - 1, Op.F, microbatch) if stage else None
    if op is Op.W:
        return Instruction(stage, Op.B, microbatch)
    if stage == last_stage:
        return Instruction(stage, Op.F, microbatch)
    return Instruction(stage + 1, Op.B, microbatch)


def result(part: Instruction) -> Instruction | None:
    """Return the name under which others wait for a simple instruction."""
    if part.op is Op.W:
        return None
    return Instruction(part.stage, Op.F if part.op is Op.F else Op.B, part.microbatch)


def check(made: Program) -> None:
    """Raise unless every pass happens exactly once and the order can be run.

    Raises
    ------
    ScheduleError
        Naming the rank, the step and what it waits for, with the grid around it.
    """
    _check_complete(made)
    _check_order(made)


def _check_complete(made: Program) -> None:
    counts: Counter[Instruction] = Counter(
        part
        for instructions in made.ranks
        for instruction in instructions
        for part in instruction.parts
    )
    last, has_backward = (
        made.num_stages - 1,
        any(part.op is not Op.F for part in counts),
    )
    problems = [
        f"{part} stands {count} times" for part, count in counts.items() if count > 1
    ]
    for stage in range(last + 1):
        for microbatch in range(made.pipeline.num_microbatches):
            have = {op: counts[Instruction(stage, op, microbatch)] > 0 for op in Op}
            if not have[Op.F]:
                problems.append(f"{stage}F{microbatch} is missing")
            if not has_backward:
                continue
            if have[Op.B] and (have[Op.I] or have[Op.W]):
                problems.append(
                    f"stage {stage} runs micro-batch {microbatch} backward both whole "
                    "and in halves"
                )
            elif not have[Op.B] and have[Op.I] != have[Op.W]:
                half = Op.W if have[Op.I] else Op.I
                problems.append(f"{stage}{half.value}{microbatch} is missing")
            elif not have[Op.B] and not have[Op.I]:
                problems.append(f"{stage}B{microbatch} is missing")
    extra = sorted(
        {
            str(part)
            for part in counts
            if part.microbatch >= made.pipeline.num_microbatches
        }
    )
    problems += [
        f"{name} is beyond the {made.pipeline.num_microbatches} micro-batches"
        for name in extra
    ]
    if problems:
        shown = problems[:5] + (
            [f"and {len(problems) - 5} more"] if problems[5:] else []
        )
        raise ScheduleError(
            f"the schedule {made.schedule!r} is not complete", where=shown
        )


def _check_order(made: Program) -> None:
    last_stage = made.num_stages - 1
    done: set[Instruction] = set()
    position = [0] * len(made.ranks)
    asleep: dict[Instruction, list[int]] = {}
    awake = deque(range(len(made.ranks)))
    while awake:
        rank = awake.popleft()
        instructions = made.ranks[rank]
        while position[rank] < len(instructions):
            instruction = instructions[position[rank]]
            missing = _missing(instruction, last_stage, done)
            if missing is not None:
                asleep.setdefault(missing, []).append(rank)
                break
            position[rank] += 1
            for part in instruction.parts:
                name = result(part)
                if name is not None:
                    done.add(name)
                    awake.extend(asleep.pop(name, ()))
    if asleep:
        raise _deadlock(made, position, asleep)


def _missing(
    instruction: Instruction, last_stage: int, done: set[Instruction]
) -> Instruction | None:
    """Return the first result that is not there yet."""
    for part in instruction.parts:
        wanted = need(part, last_stage)
        if wanted is not None and wanted not in done:
            return wanted
    return None


def _deadlock(
    made: Program, position: list[int], asleep: dict[Instruction, list[int]]
) -> ScheduleError:
    where = sorted(
        f"rank {rank}, step {position[rank]}: {made.ranks[rank][position[rank]]} "
        f"waits for {wanted}"
        for wanted, ranks in asleep.items()
        for rank in ranks
    )
    return ScheduleError(
        f"the schedule {made.schedule!r} cannot finish: its ranks wait for each other",
        where=[*where[:8], *_grid(made, position)],
    )


def _grid(made: Program, position: list[int]) -> list[str]:
    """Return the instructions around each rank's standstill, marked."""
    rows = []
    for rank, instructions in enumerate(made.ranks[:16]):
        here = position[rank]
        if here >= len(instructions):
            continue
        cells = [
            f"[{instruction}]" if index == here else str(instruction)
            for index, instruction in enumerate(instructions)
            if here - 3 <= index <= here + 3
        ]
        rows.append(f"rank {rank}: ... {' '.join(cells)} ...")
    return rows
