"""The checker: every pass exactly once, and an order that can be run to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice

from estimator.ground.errors import ScheduleError
from estimator.schedules.notation import Instruction, Op, Program
from estimator.schedules.order import NUMBERS, named, order, passes

Place = tuple[int, int]
"""Rank and step."""

MAX_SHOWN = 5


def check(made: Program) -> None:
    """Raise unless every pass happens exactly once and the order can be run.

    Raises
    ------
    ScheduleError
        Naming the rank, the step and what it waits for, with the grid around it.
    """
    found = passes(made)
    if not found.are_complete():
        _check_complete(made)
    if stuck := order(made, found).stuck:
        raise _deadlock(made, stuck)


def _check_complete(made: Program) -> None:
    places: defaultdict[Instruction, list[Place]] = defaultdict(list)
    for rank, instructions in enumerate(made.ranks):
        for step, instruction in enumerate(instructions):
            for part in instruction.parts:
                places[part].append((rank, step))
    problems = list(islice(_problems(made, places), MAX_SHOWN + 1))
    if problems:
        shown = [text for text, _ in problems[:MAX_SHOWN]]
        more = ["and more"] if len(problems) > MAX_SHOWN else []
        grid = _grid(made, dict(place for _, place in problems[:1] if place))
        raise ScheduleError(
            f"the schedule {made.schedule!r} is not complete",
            where=[*shown, *more, *grid],
        )


Problem = tuple[str, Place | None]


def _problems(
    made: Program, places: dict[Instruction, list[Place]]
) -> Iterator[Problem]:
    """Yield what is wrong, and where it shows."""
    if not places:
        yield "it has no instructions", None
    num_microbatches = made.pipeline.num_microbatches
    for part, here in places.items():
        (rank, step), *others = here
        if others:
            again = " and ".join(_at(place) for place in others)
            yield f"{_at((rank, step))}: {part} runs again at {again}", others[0]
        if part.op not in NUMBERS or part.stage < 0:
            yield f"{_at((rank, step))}: {part} is no pass of a stage", (rank, step)
        elif not 0 <= part.microbatch < num_microbatches:
            yield (
                f"{_at((rank, step))}: {part} is beyond the "
                f"{num_microbatches} micro-batches",
                (rank, step),
            )
    runs_backward = any(part.op is not Op.F for part in places)
    holders: defaultdict[int, set[int]] = defaultdict(set)
    for part, here in places.items():
        holders[part.stage].add(here[0][0])
    for stage in range(made.num_stages):
        for microbatch in range(num_microbatches):
            found = {
                op: places[part][0]
                for op in (Op.F, Op.B, Op.I, Op.W)
                if (part := Instruction(stage, op, microbatch)) in places
            }
            if not found:
                on = " or ".join(f"rank {rank}" for rank in sorted(holders[stage]))
                both = f" and {stage}B{microbatch}" if runs_backward else ""
                yield f"{on or 'all ranks'}: no {stage}F{microbatch}{both}", None
            elif runs_backward:
                yield from _stage_problems(stage, microbatch, found)


def _at(place: Place) -> str:
    return f"rank {place[0]}, step {place[1]}"


def _stage_problems(
    stage: int, microbatch: int, found: dict[Op, Place]
) -> Iterator[Problem]:
    """Yield what is wrong with one micro-batch's passes on one stage."""
    have = set(found)
    seen, place = next(iter(found.items()))
    context = f"{_at(place)}: {stage}{seen.value}{microbatch} runs, but"
    if Op.F not in have:
        yield f"{context} {stage}F{microbatch} is missing", place
    if have >= {Op.B, Op.I} or have >= {Op.B, Op.W}:
        yield f"{context} its backward pass runs both whole and in halves", place
    elif not have & {Op.B, Op.I, Op.W}:
        yield f"{context} {stage}B{microbatch} is missing", place
    elif Op.B not in have and len(have & {Op.I, Op.W}) == 1:
        half = Op.W if Op.I in have else Op.I
        yield f"{context} {stage}{half.value}{microbatch} is missing", place
    for op, other in found.items():
        if other[0] != place[0]:
            yield (
                f"{context} {stage}{op.value}{microbatch} runs on rank {other[0]}",
                place,
            )


def _deadlock(made: Program, stuck: Mapping[int, tuple[int, int]]) -> ScheduleError:
    size = made.pipeline.num_microbatches
    where = [
        f"{_at((rank, step))}: {made.ranks[rank][step]} waits for {named(wanted, size)}"
        for rank, (step, wanted) in islice(stuck.items(), 8)
    ]
    marked = {rank: step for rank, (step, _) in stuck.items()}
    return ScheduleError(
        f"the schedule {made.schedule!r} cannot finish: its ranks wait for each other",
        where=[*where, *_grid(made, marked)],
    )


def _grid(made: Program, marked: dict[int, int]) -> list[str]:
    """Return the instructions around one step of each rank, that step in brackets."""
    rows = []
    for rank, here in islice(marked.items(), 16):
        row = made.ranks[rank]
        low, high = max(here - 3, 0), here + 4
        cells = [
            f"[{instruction}]" if step == here else str(instruction)
            for step, instruction in enumerate(row[low:high], low)
        ]
        dots = ("... " if low else "", " ..." if high < len(row) else "")
        rows.append(f"rank {rank}: {dots[0]}{' '.join(cells)}{dots[1]}")
    return rows
