"""A schedule's step drawn in characters: a row per rank, time from left to right.

Where the whole step fits, a cell names its micro-batch (``F0 B0---``); else a column is
one letter, and of a step that is still too long the start and the end are shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from estimator.engine.bubble import PipelineStep
from estimator.schedules.notation import Instruction, Op

MOST_ROWS = 64
"""Ranks beyond which only the first and the last ones are shown."""
PAIR = "X"
FINEST = 8
"""The longest pass is at most this many columns where cells are letters."""
BREAK = " ... "
UNBROKEN = "\N{NO-BREAK SPACE}"
WORDS = {
    Op.F: "F forward",
    Op.B: "B backward",
    Op.I: "I backward to the input",
    Op.W: "W backward to the weights",
}


class GridCell(NamedTuple):
    """One instruction on the time axis."""

    start_s: float
    end_s: float
    label: str
    letter: str


@dataclass(frozen=True)
class _Scale:
    """How seconds become columns."""

    columns_per_s: float
    is_labelled: bool

    def column(self, seconds: float) -> int:
        return int(seconds * self.columns_per_s + 0.5 + 1e-6)


def draw(step: PipelineStep, width: int, *, has_legend: bool = True) -> list[str]:
    """Return the grid's lines, none wider than ``width``: ranks, time axis, legend."""
    rows = _cells(step)
    names = [f"rank {rank:>{len(str(len(rows) - 1))}}  " for rank in range(len(rows))]
    room = max(width - len(names[0]), 4 * len(BREAK))
    scale = _scale(rows, step.step_s, room)
    total = scale.column(step.step_s)
    windows = [(0, total)]
    if total > room:
        half = (room - len(BREAK)) // 2
        windows = [(0, half), (total - half, total)]
    lines = [
        BREAK.strip()
        if rank is None
        else names[rank]
        + BREAK.join(_painted(rows[rank], scale, *window) for window in windows)
        for rank in shown_ranks(len(rows))
    ]
    axis = BREAK.join(_axis(scale, *window) for window in windows)
    lines.append(" " * len(names[0]) + axis)
    if has_legend:
        words = _legend(step, is_labelled=scale.is_labelled)
        kept = ", ".join(word.replace(" ", UNBROKEN) for word in words)
        lines += [line.replace(UNBROKEN, " ") for line in textwrap.wrap(kept, width)]
    return [line.rstrip() for line in lines]


def _legend(step: PipelineStep, *, is_labelled: bool) -> list[str]:
    """Return what the signs mean that occur."""
    made = step.graph.program
    ops = {part.op for row in made.ranks for each in row for part in each.parts}
    words = [WORDS[op] for op in Op if op in ops]
    has_pairs = any(each.partner for row in made.ranks for each in row)
    has_stages = made.num_stages > len(made.ranks)
    if is_labelled:
        words.append("F0 of micro-batch 0")
        words += ["2F0 on stage 2"] if has_stages else []
        words += ["F1+B0 overlapped"] if has_pairs else []
    else:
        words += [f"{PAIR} forward and backward overlapped"] if has_pairs else []
        if has_stages:
            words.append("small letters: every second stage of a rank")
        elif any(made.directions().values()):
            words.append("small letters: micro-batches from the last rank")
    return [*words, "- goes on", ". idle"]


def shown_ranks(num_ranks: int) -> Iterator[int | None]:
    """Yield the ranks to show; None where some are left out."""
    for rank in range(num_ranks):
        if num_ranks <= MOST_ROWS or min(rank, num_ranks - 1 - rank) < MOST_ROWS // 2:
            yield rank
        elif rank == MOST_ROWS // 2:
            yield None


def _letter(op: Op) -> str:
    return PAIR if op is Op.FB else op.value


def _cells(step: PipelineStep) -> list[list[GridCell]]:
    """Return each rank's instructions that take time, in order."""
    made, rows = (
        step.graph.program,
        [list[GridCell]() for _ in step.graph.program.ranks],
    )
    directions, num_ranks = made.directions(), len(made.ranks)
    has_stages = made.num_stages > num_ranks

    def label(part: Instruction) -> str:
        stage = str(part.stage) if has_stages else ""
        return f"{stage}{part.op.value}{part.microbatch}"

    for rank, instruction, start_s, end_s in zip(
        step.graph.node_rank.tolist(),
        step.graph.instructions,
        step.clock.start_s,
        step.clock.end_s,
        strict=True,
    ):
        if instruction is None or end_s <= start_s:
            continue
        turn = instruction.stage // num_ranks + directions[instruction.microbatch]
        letter = _letter(instruction.op)
        text = "+".join(map(label, instruction.parts))
        rows[rank].append(
            GridCell(start_s, end_s, text, letter.lower() if turn % 2 else letter)
        )
    return rows


def _scale(rows: Sequence[Sequence[GridCell]], step_s: float, room: int) -> _Scale:
    """Return the scale of labelled cells if all fit, else that of letters."""
    lasting = [cell.end_s - cell.start_s for row in rows for cell in row]
    if not lasting:
        return _Scale(0.0, is_labelled=False)
    dense = max(
        (len(cell.label) + 1) / (cell.end_s - cell.start_s)
        for row in rows
        for cell in row
    )
    if step_s * dense <= room:
        return _Scale(dense, is_labelled=True)
    return _Scale(1 / max(min(lasting), max(lasting) / FINEST), is_labelled=False)


def _painted(row: Sequence[GridCell], scale: _Scale, low: int, high: int) -> str:
    """Return columns ``low`` to ``high`` of a rank's row."""
    pieces: list[str] = []
    at = low
    for cell in row:
        start, end = scale.column(cell.start_s), scale.column(cell.end_s)
        if end <= low or start >= high:
            continue
        text = _text(cell, end - start, is_labelled=scale.is_labelled)
        first, last = max(start, at), min(end, high)
        pieces += ["." * (first - at), text[first - start : last - start]]
        at = max(at, last)
    return "".join(pieces) + "." * (high - at)


def _text(cell: GridCell, columns: int, *, is_labelled: bool) -> str:
    """Return a cell's characters: its name, dashes, and a gap behind names."""
    if not is_labelled:
        return cell.letter.ljust(columns, "-")[:columns]
    return (cell.label.ljust(columns - 1, "-") + " ")[:columns]


def _axis(scale: _Scale, low: int, high: int) -> str:
    """Return the times at both ends of a window, the first alone if it is narrow."""
    if not scale.columns_per_s:
        return ""
    first, last = (f"{column / scale.columns_per_s:.4g} s" for column in (low, high))
    gap = high - low - len(first) - len(last)
    return f"{first}{' ' * gap}{last}" if gap > 0 else first[: high - low]
