"""Instructions, pipelines and programs: the language that every schedule is written in.

Notation follows ``torch.distributed.pipelining``: ``2F0`` is the forward pass of
micro-batch 0 on stage 2; ``I`` is the backward pass with respect to the input, ``W``
with respect to the weights, ``B`` both. ``(0F1;1B0)OVERLAP_F_B`` is a forward and a
backward chunk run as one overlapped pair.

A program lists computation only. What must be sent where follows from the stages: a
forward pass needs the previous stage's, a backward pass the next stage's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from estimator.ground.errors import InputError


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


_NUMBER = r"([0-9]{1,9})"
_SIMPLE = re.compile(rf"\s*{_NUMBER}([FIWB]){_NUMBER}\s*\Z")
_PAIR = re.compile(
    rf"\s*\(\s*{_NUMBER}F{_NUMBER}\s*;\s*{_NUMBER}B{_NUMBER}\s*\)\s*OVERLAP_F_B\s*\Z"
)


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
    stages_per_rank: int | None = None
    """Stages of a micro-batch's way on one rank; None: as the schedule has it."""
    group_size: int | None = None
    """Micro-batches that pass a stage in a row where ranks loop over theirs; None: as
    few as the schedule can."""

    def __post_init__(self) -> None:
        shape = (self.num_ranks, self.num_microbatches, self.stages_per_rank)
        if min(size for size in shape if size is not None) < 1:
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
        return 1 + max((max(held, default=-1) for held in self._held), default=-1)

    def stages_of(self, rank: int) -> tuple[int, ...]:
        """Return the stages whose weights ``rank`` holds."""
        return self._held[rank]

    @cached_property
    def has_pairs(self) -> bool:
        """Whether any forward chunk runs beside a backward one."""
        return any(step.partner for row in self.ranks for step in row)

    @cached_property
    def _held(self) -> tuple[tuple[int, ...], ...]:
        made = []
        for instructions in self.ranks:
            held = {step.stage for step in instructions}
            held |= {step.partner.stage for step in instructions if step.partner}
            made.append(tuple(sorted(held)))
        return tuple(made)

    @cached_property
    def runs_backward(self) -> bool:
        """Whether anything runs backward, so that something is kept for it."""
        parts = (part for row in self.ranks for step in row for part in step.parts)
        return any(part.op is not Op.F for part in parts)

    @cached_property
    def passes(self) -> tuple[Op, ...]:
        """The passes that each micro-batch takes on each stage, a whole one in halves.

        Where nothing runs backward, the forward pass alone.
        """
        return (Op.F, Op.I, Op.W) if self.runs_backward else (Op.F,)

    def directions(self) -> dict[int, int]:
        """Return each micro-batch's direction, numbered by the rank that it enters at.

        All are 0 but for schedules that feed a pipeline from both ends.
        """
        entry = {
            part.microbatch: rank
            for rank, row in enumerate(self.ranks)
            for step in row
            for part in step.parts
            if part.stage == 0 and part.op is Op.F
        }
        ends = sorted(set(entry.values()))
        return {microbatch: ends.index(rank) for microbatch, rank in entry.items()}

    def in_flight(self, until: Op = Op.I) -> tuple[int, ...]:
        """Return the most activations alive on each rank, in chunks.

        A forward pass adds one; the backward pass (``B``, or ``I``) frees it. The new
        forward half of a pair counts before its backward half frees. Where nothing
        runs backward, nothing is kept.

        Parameters
        ----------
        until : Op
            ``Op.W`` counts an activation for as long as its weight gradient needs
            part of it, as the zero-bubble papers do.
        """
        if until is Op.I:
            return self._in_flight
        change = {Op.F: 1, Op.B: -1, until: -1}
        return tuple(_peak(instructions, change) for instructions in self.ranks)

    @cached_property
    def _in_flight(self) -> tuple[int, ...]:
        change = {Op.F: 1, Op.B: -1, Op.I: -1}
        return tuple(_peak(instructions, change) for instructions in self.ranks)


def _peak(instructions: tuple[Instruction, ...], change: dict[Op, int]) -> int:
    alive = peak = 0
    is_kept = False
    for instruction in instructions:
        for part in instruction.parts:
            alive += change.get(part.op, 0)
            peak = max(peak, alive)
            is_kept = is_kept or part.op is not Op.F
    return peak if is_kept else min(peak, 1)


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
