"""One estimate as one HTML file: no script, no request, figures inside.

It shows the tables that the terminal shows, and between them their figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from rich.table import Table

from estimator import tables
from estimator.figures import write
from estimator.findings.base import Answer, Bars, Timeline
from estimator.provenance import Provenance
from estimator.report import Assumption, Report
from estimator.wording import (
    FIGURE_WORDS,
    IF_IT_DID,
    LAYER_WORDS,
    brief,
    does_not_fit,
    quantity,
    weight,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2126; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2rem; }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 14px; margin: 0.6rem 0; }
.wide { overflow-x: auto; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e3e6e8; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.pale { color: #5d656d; font-size: 13px; }
.warning { border-left: 4px solid #d1495b; padding: 0.4rem 0.8rem; }
code { background: #f2f4f5; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
@media print { h2 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""


def page(answer: Answer, made: Provenance, command: str) -> Iterator[str]:
    """Yield the report's HTML.

    Parameters
    ----------
    command : str
        The command line that gives the same numbers.
    """
    report = answer.report
    yield from _opening(report, made)
    if not report.memory.fits:
        words = f"{does_not_fit(report.memory)} {IF_IT_DID}"
        yield f'<p class="warning">{escape(words)}</p>\n'
    yield from _table(tables.headline(report))
    if sum(usd > 0 for usd in report.cost.values()) > 1:
        yield "<h2>What it costs</h2>\n"
        yield from _table(tables.costs(report))
    yield "<h2>Phases</h2>\n"
    yield from _table(tables.phases(report))
    for phase in report.phases:
        if phase.source:
            words = f"{phase.name}, as published: {phase.source}"
            yield f'<p class="pale">{escape(words)}</p>\n'
    figures = dict(write.found(answer))
    extra = {
        "breakdown": tables.causes(report),
        "ranks": tables.ranks(report),
        "layers": tables.layers(answer.layers),
    }
    for name in sorted(figures, key=_place):
        yield f"<h2>{FIGURE_WORDS.get(name, name)}</h2>\n"
        yield from _figure(name, figures[name])
        if name in extra:
            yield from _table(extra[name])
    yield "<h2>What it rests on</h2>\n"
    yield from _assumptions(report.assumptions)
    yield "<h2>What is not counted</h2>\n"
    yield f"<p>{escape(report.not_counted)}.</p>\n"
    yield "<h2>The same numbers again</h2>\n"
    yield f"<p><code>{escape(command)}</code></p>\n"
    yield f'<p class="pale">{escape(str(made))}</p>\n</body>\n</html>\n'


def _place(name: str) -> int:
    known = list(FIGURE_WORDS)
    return known.index(name) if name in known else len(known)


def _opening(report: Report, made: Provenance) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{escape(report.scenario)}: estimate</title>\n"
    yield f"<style>{STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>{escape(report.scenario)}</h1>\n<p>{escape(report.question)}</p>\n"
    yield f'<p class="pale">{escape(str(made))}</p>\n'


def _figure(name: str, shown: Bars | Timeline | Exception) -> Iterator[str]:
    """Yield a figure, or why there is none."""
    if isinstance(shown, Exception):
        yield f"<p>Not drawn: {escape(str(shown))}</p>\n"
    else:
        yield write.inline(name, shown)


def _table(table: Table) -> Iterator[str]:
    """Yield a terminal table; a column of drawn bars has its figure instead."""
    columns = [
        (str(column.header), column.justify, [str(cell) for cell in column.cells])
        for column in table.columns
    ]
    columns = [each for each in columns if not any("##" in cell for cell in each[2])]
    heads = [(head, justify) for head, justify, _ in columns]
    rows = zip(*(cells for _, _, cells in columns), strict=True)
    yield '<div class="wide"><table>\n'
    if table.show_header:
        yield _row("th", [(head, justify) for head, justify in heads])
    for row in rows:
        yield _row(
            "td", [(cell, how) for cell, (_, how) in zip(row, heads, strict=True)]
        )
    yield "</table></div>\n"


def _row(tag: str, cells: Sequence[tuple[str, str]]) -> str:
    sides = {"right": ' class="right"'}
    made = "".join(
        f"<{tag}{sides.get(how, '')}>{escape(cell)}</{tag}>" for cell, how in cells
    )
    return f"<tr>{made}</tr>\n"


def _assumptions(rows: Sequence[Assumption]) -> Iterator[str]:
    """Yield a table of constants for each layer, the heaviest first."""
    for layer, words in LAYER_WORDS.items():
        here = [row for row in rows if row.layer == layer]
        if not here:
            continue
        yield f"<h3>{escape(words)}</h3>\n"
        numbers = [row for row in here if not isinstance(row.value, str)]
        if numbers:
            yield '<div class="wide"><table>\n' + _row("th", HEADS)
            for row in sorted(numbers, key=weight, reverse=True):
                yield _row("td", list(_cells(row)))
            yield "</table></div>\n"
        said = [str(row.value) for row in here if isinstance(row.value, str)]
        if said:
            yield "".join(("<ul>", *(f"<li>{escape(w)}</li>" for w in said), "</ul>\n"))


HEADS = (
    ("constant", "left"),
    ("value", "right"),
    ("range", "left"),
    ("effect on the step, or on the cost", "left"),
    ("source", "left"),
)


def _cells(row: Assumption) -> Iterator[tuple[str, str]]:
    yield brief(row.name), "left"
    yield quantity(float(row.value), row.unit), "right"
    ends = [quantity(end, row.unit) for end in (row.low, row.high) if end is not None]
    yield " to ".join(ends), "left"
    effects = [
        f"{ratio - 1:+.1%}" for ratio in row.step_effect or row.cost_effect or ()
    ]
    where = "cost " if row.cost_effect else ""
    yield where + " to ".join(effects), "left"
    mark = "" if row.status == "read" else f" [{row.status}]"
    yield row.source + mark, "left"
