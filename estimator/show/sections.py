"""An estimate as titled tables of words: what a page, a paper and a text file show.

The words are the terminal's. Sources stand beside their rows, so that a page prints
them there and a paper cites them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from estimator.answer.asked import asked
from estimator.answer.report import Assumption, Report
from estimator.explore.results import Result
from estimator.ground.words import dollars, duration, quantity, relative, short
from estimator.show.findings.breakdown import breakdown
from estimator.show.findings.memory import memory
from estimator.show.findings.ranks import ranks
from estimator.show.tables import compare as tables_compare
from estimator.show.tables import report as tables
from estimator.show.tables.words import Words
from estimator.show.wording import (
    FIGURE_WORDS,
    LAYER_WORDS,
    brief,
    misfit,
    unchecked,
    weight,
)

Row = tuple[str, ...]

SMALL = 0.0005
"""A change of the step that its figures do not show."""
EFFECTS = (
    "Effect: the change of the step, or of the cost where so named, at the low and at "
    "the high end of a constant. Sources were read unless a mark says derived, "
    "recalled, assumed or set."
)


@dataclass(frozen=True)
class Section:
    """A title with sentences, a figure, a table of words, or several of them."""

    title: str
    level: int = 2
    """1 opens what is said of one scenario."""
    finding: str = ""
    """What the figure shows, or would."""
    figure: str = ""
    """The name of the figure above the table."""
    heads: Row = ()
    is_right: tuple[bool, ...] = ()
    rows: tuple[Row, ...] = ()
    sources: Row = ()
    """Of each row, where rows have one."""
    marks: Row = ()
    """Of each source how it is known, unless it was read."""
    sentences: Row = ()

    @property
    def headline(self) -> str:
        """The title, and what was found."""
        return f"{self.title}. {self.finding}" if self.finding else self.title


def sections(result: Result) -> Iterator[Section]:
    """Yield everything that is known, the answer first."""
    if result.comparison is None:
        for number in range(len(result.reports)):
            yield from _estimate(result, number)
    else:
        first = result.reports[0].scenario
        told = (*_misfits(result.reports), *result.comparison.said)
        told += unchecked(result.reports)
        yield Section(result.title, 1, sentences=told)
        yield words(tables_compare.comparison(result.comparison), "Side by side")
        if (more := tables_compare.changes(result.comparison)) is not None:
            yield words(more, "Against the first")
        yield words(
            tables_compare.differences(result.comparison),
            f"Why they differ from {first} (Shapley values)",
        )
    if result.failed:
        missing = (f"{each.scenario}: {each.error}." for each in result.failed)
        yield Section("What has no answer", sentences=tuple(missing))
    alone = len(result.reports) == 1
    yield Section("What it rests on", sentences=(EFFECTS,) if alone else ())
    yield from assumptions(result.reports)
    yield Section("Ranges", sentences=result.said("range_method"))
    yield Section("What is not counted", sentences=result.said("not_counted"))


@dataclass(frozen=True)
class _Reported:
    """What findings ask that need no simulation."""

    report: Report


def _estimate(result: Result, number: int) -> Iterator[Section]:
    report, scenario = result.reports[number], result.scenarios[number]
    said = (*_misfits([report]), report.question, _answer(report))
    yield Section(report.scenario, 1, sentences=tuple(filter(None, said)))
    yield words(tables.headline(report), "The answer", ("", "value", "what it is"))
    yield Section(
        "What was asked",
        2,
        "",
        "",
        ("part", "value"),
        (False,) * 2,
        (*asked(scenario),),
    )
    if sum(usd > 0 for usd in report.cost.values()) > 1:
        yield words(tables.costs(report), "What it costs")
    yield _phases(report)
    shown = {
        "breakdown": (tables.causes, breakdown),
        "ranks": (tables.ranks, ranks),
        "memory": (tables.memory, memory),
    }
    for name, title in FIGURE_WORDS.items():
        if name in shown:
            table, find = shown[name]
            made = words(table(report), title)
            found = find(_Reported(report)).finding
            yield replace(made, figure=name, finding=found)
        elif name == "layers" and result.layers:
            steps = tables.layers(result.layers[number])
            yield replace(words(steps, title), figure=name)
        else:
            yield Section(title, figure=name)


def _answer(report: Report) -> str:
    """Return the answer in a sentence."""
    low, high = map(dollars, report.range["cost_usd"])
    return (
        f"{dollars(report.cost_usd)} ({low} to {high}): {short(report.gpu_hours)} "
        f"GPU-hours, {duration(report.wall_s)} on {report.num_gpus:,} x "
        f"{report.gpu}."
    )


def _misfits(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        if wrong := misfit(report.memory):
            name = f"{report.scenario}: " if len(reports) > 1 else ""
            yield f"{name}{wrong}"


def _phases(report: Report) -> Section:
    """Return what each phase takes; published ones have their source."""
    made = words(tables.phases(report), "Phases")
    if not any(phase.source for phase in report.phases):
        return made
    return replace(
        made,
        sources=tuple(phase.source for phase in report.phases),
        marks=("",) * len(report.phases),
    )


def words(table: Words, title: str, heads: Row = ()) -> Section:
    """Return a table under another title; a column of drawn bars is left out."""
    columns = table.read()
    return Section(
        title,
        heads=heads or tuple(column.head for column, _ in columns),
        is_right=tuple(column.side == "right" for column, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
    )


def assumptions(reports: Sequence[Report]) -> Iterator[Section]:
    """Yield the constants of each layer, the heaviest first, and what was assumed.

    What several reports share stands there once; the effect on the step, which is
    each report's own, is shown for a single one.
    """
    holders: dict[Assumption, list[str]] = {}
    for report in reports:
        for row in report.assumptions:
            shared = row
            if len(reports) > 1:
                shared = replace(row, step_effect=None, cost_effect=None)
            if isinstance(row.value, str):
                shared = replace(shared, source="", name="")
            holders.setdefault(shared, []).append(report.scenario)
    places = {row.name: place for place, row in reversed([*enumerate(holders)])}
    for layer, title in LAYER_WORDS.items():
        here = {row: names for row, names in holders.items() if row.layer == layer}
        numbers = [row for row in here if not isinstance(row.value, str)]
        if numbers:
            numbers.sort(key=lambda row: (-weight(row), places[row.name]))
            yield _constants(title, {row: here[row] for row in numbers}, len(reports))
        said = tuple(
            str(row.value)
            + (f" ({', '.join(names)})" if len(names) < len(reports) else "")
            for row, names in here.items()
            if isinstance(row.value, str)
        )
        if said:
            yield Section(title, 3, sentences=said)


def _constants(
    title: str, holders: dict[Assumption, list[str]], num_reports: int
) -> Section:
    """Return a table of constants; a column that no row fills is left out."""
    columns = {
        "constant": [brief(row.name) for row in holders],
        "in": [
            "all" if len(names) >= num_reports else ", ".join(names)
            for names in holders.values()
        ],
        "value": [quantity(float(row.value), row.unit) for row in holders],
        "range": [_ends(row) for row in holders],
        "effect": [_effect(row) for row in holders],
    }
    if num_reports == 1:
        del columns["in"]
    used = {head: cells for head, cells in columns.items() if any(cells)}
    return Section(
        title,
        3,
        heads=tuple(used),
        is_right=tuple(head == "value" for head in used),
        rows=tuple(zip(*used.values(), strict=True)),
        sources=tuple(row.source for row in holders),
        marks=tuple("" if row.status == "read" else row.status for row in holders),
    )


def _effect(row: Assumption) -> str:
    effect = row.step_effect or row.cost_effect
    if not effect:
        return ""
    where = "cost " if row.cost_effect and not row.step_effect else ""
    if all(abs(ratio - 1) < SMALL for ratio in effect):
        return f"{where}under {SMALL:.2%}"
    return where + " to ".join(relative(ratio - 1) for ratio in effect)


def _ends(row: Assumption) -> str:
    ends = (row.low, row.high)
    return " to ".join(quantity(end, row.unit) for end in ends if end is not None)


def numbered(parts: Iterable[Section]) -> dict[str, int]:
    """Return the sources in the order of their first citation, from 1.

    >>> numbered([Section("a", sources=("x", "y", "x", ""))])
    {'x': 1, 'y': 2}
    """
    named = (source for part in parts for source in part.sources if source)
    return {source: number for number, source in enumerate(dict.fromkeys(named), 1)}


def cited(
    part: Section, words: Callable[[str], str], cite: Callable[[str], str]
) -> tuple[Row, list[Row]]:
    """Return heads and rows as a document writes them, sources cited in a column.

    Parameters
    ----------
    words : function
        From words to the document's notation.
    cite : function
        From a source to its citation there.
    """
    heads = tuple(map(words, part.heads))
    rows = [tuple(map(words, row)) for row in part.rows]
    if not part.sources:
        return heads, rows
    known = [
        ", ".join(filter(None, (cite(source) if source else "", words(mark))))
        for source, mark in zip(part.sources, part.marks, strict=True)
    ]
    return (*heads, "source"), [
        (*row, each) for row, each in zip(rows, known, strict=True)
    ]
