"""Scenarios side by side: a column each for a few, a row each for many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.text import Text

from estimator.answer.report import Memory, Report
from estimator.explore.comparison import Comparison
from estimator.ground.attempts import in_order
from estimator.ground.words import (
    CLOSE,
    dollars,
    duration,
    relative,
    short,
    signed,
    size,
)
from estimator.show.console import console
from estimator.show.tables.words import Column, Words
from estimator.show.wording import unchecked

MOST_COLUMNS = 4
"""Scenarios that stand side by side; more stand under each other."""

NUMBERS: Mapping[str, Callable[[Report], str]] = {
    "cost": lambda r: dollars(r.cost_usd, CLOSE),
    "GPU-hours": lambda r: short(r.gpu_hours, CLOSE),
    "wall time": lambda r: duration(r.wall_s, CLOSE),
    "step": lambda r: duration(r.step.step_s, CLOSE),
    "MFU": lambda r: f"{r.step.mfu:.1%}",
    "bubble": lambda r: f"{r.step.bubble_fraction:.1%}",
    "exposed communication": lambda r: duration(r.step.exposed_comm_s),
    "memory": lambda r: size(r.memory.peak_bytes),
    "fits": lambda r: _fits(r.memory),
    "GPUs": lambda r: f"{r.num_gpus:,} {r.gpu}",
    "price": lambda r: r.price_title,
}
BRIEF = {
    "GPU-hours": "GPU-h",
    "exposed communication": "exposed",
}
WIDEST_NAME = 32
"""Characters of a name that is not folded on a narrow terminal."""
AGAINST = {
    "cost_change": "cost",
    "gpu_hours_change": "GPU-hours",
    "wall_change": "wall time",
    "step_change": "step",
}
"""What is told against the first column."""
FIRST = "against first"
SOFTWARE = "software"
"""Axis whose every value changes much at once: what that adds is told as such."""
MISSING = "-"
"""A cell of a scenario that cannot be estimated."""


def _fits(memory: Memory) -> str:
    if not memory.fits:
        return "no"
    return "yes" if memory.fits_with_headroom else "barely"


def print_comparison(made: Comparison, *, has_notes: bool) -> None:
    """Print scenarios side by side and the attribution of their differences."""
    out = console()
    out.print(comparison(made))
    if (more := changes(made)) is not None:
        out.print(more)
    for words in _below(made):
        out.print(words)
    is_plain = bool(made.axis) and len(made.reports) > MOST_COLUMNS
    is_told = made.axis == SOFTWARE or any(len(each) > 1 for each in _causes(made))
    if has_notes and not is_plain and is_told and made.shares:
        out.print(differences(made))


def comparison(made: Comparison) -> Words:
    """Return scenarios side by side, or one under the other where there are many."""
    return _rows(made) if _is_long(made) else _columns(made)


def _is_long(made: Comparison) -> bool:
    return len(made.reports) + len(made.failed) > MOST_COLUMNS


def _columns(made: Comparison) -> Words:
    names = in_order(
        [report.scenario for report in made.reports],
        made.failed,
        lambda each: each.scenario,
    )
    table = Words.of("", ("", "left"), *((name, "right") for name in names))
    against = {f"{name} {FIRST}": cells for name, cells in _against(made).items()}
    numbers = {name: [*map(cell, made.reports)] for name, cell in NUMBERS.items()}
    for name, cells in (numbers | against).items():
        table.add_row(name, *in_order(cells, made.failed, lambda _: MISSING))
    return table


def _rows(made: Comparison) -> Words:
    """Return a row for each scenario, without what is the same in all."""
    shown = [name for name in NUMBERS if name not in (*_same(made), "price")]
    heads = [*(BRIEF.get(name, name) for name in shown), FIRST]
    widest = max(map(len, (*made.groups, *made.labels)))
    first = Column(made.axis or "scenario", is_folded=widest > WIDEST_NAME)
    table = Words("", (first, *(Column(head, "right") for head in heads)), gap=1)
    before = "" if len(set(made.groups)) > 1 else made.groups[0]
    against = _against(made)["cost"]
    for report, group, change, cost in zip(
        made.reports, made.groups, made.labels, against, strict=True
    ):
        if group != before and change:
            table.add_row(group)
        before = group
        label = f"  {change}" if change and len(set(made.groups)) > 1 else change
        cells = (NUMBERS[name](report) for name in shown)
        table.add_row(label or group, *cells, cost)
    for each in made.failed:
        table.add_row(each.scenario, *[MISSING] * len(heads))
    return table


def changes(made: Comparison) -> Words | None:
    """Return what a row for each scenario has no room for.

    All numbers over the first, and the price; None where all that stands already.
    """
    told = _against(made)
    prices = [NUMBERS["price"](report) for report in made.reports]
    is_told = all(cells == told["cost"] for cells in told.values())
    if not _is_long(made) or (is_told and len(set(prices)) == 1):
        return None
    told["price"] = prices
    table = Words.of(
        f"\n{FIRST.capitalize()}",
        ("scenario", "left"),
        *((name, "left" if name == "price" else "right") for name in told),
    )
    for place, report in enumerate(made.reports):
        table.add_row(report.scenario, *(cells[place] for cells in told.values()))
    return table


def _same(made: Comparison) -> dict[str, str]:
    """Return the numbers that all scenarios share, and cost a column for nothing."""
    found = {}
    for name in ("memory", "fits", "GPUs"):
        cells = {NUMBERS[name](report) for report in made.reports}
        if len(cells) == 1:
            found[name] = cells.pop()
    return found


def _against(made: Comparison) -> dict[str, list[str]]:
    """Return each number over that of the baseline, column by column."""
    return {
        words: [_change(changes[name]) for changes in made.changes]
        for name, words in AGAINST.items()
    }


def _change(ratio: float | None) -> str:
    return "" if ratio is None else relative(ratio)


def _below(made: Comparison) -> Iterator[str]:
    yield from made.said
    for each in made.failed:
        yield f"{each.scenario} has no answer: {each.error}."
    same = _same(made) if _is_long(made) else {}
    words = [f"{name} {cell}" for name, cell in same.items()]
    if words:
        yield f"In all: {', '.join(words)}."
    if len(set(made.groups)) > 1 and len(set(made.groups)) < len(made.groups):
        yield "Against first: against the first row of the same scenario."
    titles = dict.fromkeys(report.cost_basis_title for report in made.reports)
    yield f"Cost: {'; '.join(titles)}."
    yield from unchecked(made.reports)
    left_out = dict.fromkeys(report.not_counted for report in made.reports)
    yield f"Not counted: {'; '.join(left_out)}."


def _causes(made: Comparison) -> list[list[str]]:
    """Return the changed inputs of each scenario."""
    return [
        [share.input for share in made.shares if share.scenario == report.scenario]
        for report in made.reports
    ]


def differences(made: Comparison) -> Words:
    """Return what each changed input adds, against the first scenario."""
    table = Words.of(
        f"\nWhy they differ from {made.reports[0].scenario} (Shapley values)",
        ("scenario", "left"),
        ("changed input", "left"),
        ("GPU-hours", "right"),
        ("cost", "right"),
    )
    for share in made.shares:
        table.add_row(
            share.scenario,
            Text(share.input),
            signed(short(share.gpu_hours)),
            signed(dollars(share.cost_usd)),
        )
    return table
