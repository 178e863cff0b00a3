"""An estimate as titled tables of words: what a page, a paper and a text file show.

The words are the terminal's. Sources stand beside their rows, so that a page prints
them there and a paper cites them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from estimator import tables, tables_compare
from estimator.findings.breakdown import breakdown
from estimator.findings.memory import memory
from estimator.findings.ranks import ranks
from estimator.report import Assumption, Report
from estimator.results import RANGES, Result
from estimator.wording import (
    IF_IT_DID,
    LAYER_WORDS,
    brief,
    does_not_fit,
    quantity,
    weight,
)

Row = tuple[str, ...]

SMALL = 0.0005
"""A change of the step that its figures do not show."""


@dataclass(frozen=True)
class Section:
    """A table of words, or a list of sentences under a title."""

    title: str
    heads: Row = ()
    is_right: tuple[bool, ...] = ()
    rows: tuple[Row, ...] = ()
    sources: Row = ()
    """Of each row, where rows have one."""
    marks: Row = ()
    """Of each source how it is known, unless it was read."""
    sentences: Row = ()
    is_about: bool = False
    """Whether it opens what is said of one scenario."""


def sections(result: Result) -> Iterator[Section]:
    """Yield everything that is known, the answer first."""
    if result.comparison is None:
        for number, report in enumerate(result.reports):
            yield from _estimate(report)
            if result.layers:
                steps = tables.layers(result.layers[number])
                yield words(steps, "The step as layers of constants are added")
    else:
        first = result.reports[0].scenario
        yield replace(
            words(tables_compare.comparison(result.comparison), "Side by side"),
            sentences=tuple(_misfits(result.reports)),
        )
        yield words(
            tables_compare.differences(result.comparison),
            f"Why they differ from {first} (Shapley values)",
        )
    yield from assumptions(result.reports)
    yield Section("Ranges", sentences=(_sentence(RANGES),))
    left_out = dict.fromkeys(report.not_counted for report in result.reports)
    yield Section("Not counted", sentences=tuple(map(_sentence, left_out)))


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


@dataclass(frozen=True)
class _Reported:
    """What findings ask that need no simulation."""

    report: Report


def _estimate(report: Report) -> Iterator[Section]:
    answer = _Reported(report)
    yield Section(
        report.scenario,
        sentences=(*_misfits([report]), *filter(None, [report.question])),
        is_about=True,
    )
    yield words(tables.headline(report), "The answer", ("", "value", "what it is"))
    if sum(usd > 0 for usd in report.cost.values()) > 1:
        yield words(tables.costs(report), "What it costs")
    yield phases(report)
    found = (
        (tables.causes(report), "Where a step goes", breakdown),
        (tables.ranks(report), "Seconds of a step by pipeline rank", ranks),
        (tables.memory(report), "GB at the peak by pipeline rank", memory),
    )
    for table, title, finding in found:
        yield words(table, f"{title}. {finding(answer).finding}")


def _misfits(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        if not report.memory.fits:
            name = f"{report.scenario}: " if len(reports) > 1 else ""
            yield f"{name}{does_not_fit(report.memory)} {IF_IT_DID}"


def phases(report: Report) -> Section:
    """Return what each phase takes; published ones have their source."""
    made = words(tables.phases(report), "Phases")
    if any(phase.source for phase in report.phases):
        return replace(
            made,
            sources=tuple(phase.source for phase in report.phases),
            marks=("",) * len(report.phases),
        )
    return made


def words(table: Table, title: str, heads: Row = ()) -> Section:
    """Return a terminal table; a column of drawn bars is left out."""
    columns = [
        (str(column.header), column.justify == "right", [*map(str, column.cells)])
        for column in table.columns
    ]
    columns = [each for each in columns if not any("##" in cell for cell in each[2])]
    return Section(
        title,
        heads or tuple(head for head, _, _ in columns),
        tuple(is_right for _, is_right, _ in columns),
        tuple(zip(*(cells for _, _, cells in columns), strict=True)),
    )


def assumptions(reports: Sequence[Report]) -> Iterator[Section]:
    """Yield the constants of each layer, the heaviest first, and what was assumed.

    What several reports share stands there once; the effect on the step, which is
    each report's own, is shown for a single one.
    """
    holders: dict[Assumption, list[str]] = {}
    for report in reports:
        for row in report.assumptions:
            shared = (
                row
                if len(reports) == 1
                else replace(row, step_effect=None, cost_effect=None)
            )
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
            yield Section(title, sentences=said)


def _constants(
    title: str, holders: dict[Assumption, list[str]], num_reports: int
) -> Section:
    """Return a table of constants; a column that no row fills is left out."""
    columns = {
        "constant": [brief(row.name) for row in holders],
        "in": [
            "all" if len(names) == num_reports else ", ".join(names)
            for names in holders.values()
        ],
        "value": [quantity(float(row.value), row.unit) for row in holders],
        "range": [_ends(row) for row in holders],
        "effect on the step": [_effect(row) for row in holders],
    }
    if num_reports == 1:
        del columns["in"]
    used = {head: cells for head, cells in columns.items() if any(cells)}
    return Section(
        title,
        tuple(used),
        tuple(head == "value" for head in used),
        tuple(zip(*used.values(), strict=True)),
        tuple(row.source for row in holders),
        tuple("" if row.status == "read" else row.status for row in holders),
    )


def _effect(row: Assumption) -> str:
    if not row.step_effect:
        return ""
    if all(abs(ratio - 1) < SMALL for ratio in row.step_effect):
        return f"under {SMALL:.2%}"
    return " to ".join(f"{ratio - 1:+.1%}" for ratio in row.step_effect)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _ends(row: Assumption) -> str:
    ends = (row.low, row.high)
    return " to ".join(quantity(end, row.unit) for end in ends if end is not None)
