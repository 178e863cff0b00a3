"""Programs as text: CSV in the notation of ``torch.distributed.pipelining``.

One row per rank, one cell per step; an empty cell is an idle step and means nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from estimator.ground.errors import InputError
from estimator.schedules.check import check
from estimator.schedules.notation import (
    Instruction,
    Pipeline,
    Program,
    parse_instruction,
)
from estimator.schedules.programs import check_length

MAX_SHOWN = 5
EXAMPLE = "one row per rank, one instruction per cell: 0F0,0F1,0B0,0B1"


def format_program(program: Program) -> str:
    r"""Return a program as CSV, one row per rank.

    >>> from estimator.schedules.programs import program
    >>> format_program(program("1f1b", Pipeline(2, 2)))
    '0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n'
    """
    return "".join(program_lines(program))


def program_lines(program: Program) -> Iterator[str]:
    """Yield a program's rows, each with its line end."""
    for row in program.ranks:
        yield ",".join(map(str, row)) + "\n"


def parse_program(text: str, name: str) -> Program:
    """Return the checked program that ``text`` describes, under the name ``name``.

    Raises
    ------
    InputError
        If it is not CSV, or a cell is no instruction: naming row and column.
    InfeasibleError
        If it is too long.
    ScheduleError
        If a pass is missing or runs twice, or ranks wait for each other: naming the
        rank, the step and what it waits for.

    Examples
    --------
    >>> parse_program("0F0,0B0", "mine").pipeline.num_microbatches
    1
    """
    cells = _cells(text, name)
    check_length(sum(map(len, cells)))
    ranks = _instructions(cells, name)
    parts = [part for row in ranks for step in row for part in step.parts]
    num_stages = 1 + max(part.stage for part in parts)
    pipeline = Pipeline(
        num_ranks=len(ranks),
        num_microbatches=1 + max(part.microbatch for part in parts),
        stages_per_rank=-(-num_stages // len(ranks)),
    )
    made = Program(name, pipeline, ranks)
    check(made)
    return made


def _cells(text: str, name: str) -> list[list[str]]:
    """Return the cells of each rank's row."""
    text = text.removeprefix("\ufeff").rstrip()
    strange = [sign for sign in text if not sign.isprintable() and sign not in "\r\n\t"]
    if strange:
        raise InputError(
            f"the schedule {name!r} is not text: it contains {strange[0]!r}",
            fix=EXAMPLE,
        )
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise InputError(f"the schedule {name!r} is not CSV: {error}") from error
    if not text:
        raise InputError(f"the schedule {name!r} is empty", fix=EXAMPLE)
    return rows


def _instructions(
    rows: list[list[str]], name: str
) -> tuple[tuple[Instruction, ...], ...]:
    """Return each rank's instructions, or one error for all cells that are none."""
    ranks: list[tuple[Instruction, ...]] = []
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        steps = []
        for column, cell in enumerate(row, 1):
            if cell.strip():
                try:
                    steps.append(parse_instruction(cell))
                except InputError as error:
                    problems.append(f"row {number}, column {column}: {error.what}")
        if not any(cell.strip() for cell in row):
            problems.append(f"row {number}: rank {number - 1} has no instructions")
        ranks.append(tuple(steps))
    if problems:
        more = len(problems) - MAX_SHOWN
        raise InputError(
            f"the schedule {name!r} cannot be read",
            where=problems[:MAX_SHOWN] + ([f"and {more} more"] if more > 0 else []),
            fix=EXAMPLE,
        )
    return tuple(ranks)
