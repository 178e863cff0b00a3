"""One estimate as one HTML file: no script, no request, figures inside.

It shows the tables that the terminal shows, and above them their figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from estimator.answer.report import Report
from estimator.explore.results import Result
from estimator.show import html
from estimator.show.figures import write
from estimator.show.findings.base import Answered, Bars, Timeline
from estimator.show.sections import Section, cited, sections
from estimator.show.wording import misfit

STYLE = """
body { color: #1c2126; background: #fff; max-width: 62rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; }
table { font-size: 14px; margin: 0.6rem 0; }
th, td { border-bottom-color: #e3e6e8; }
.sourced td:not(:last-child) { white-space: nowrap; }
.answer { font-size: 18px; font-weight: 600; }
.pale { color: #5d656d; font-size: 13px; }
.warning { border-left: 4px solid #d1495b; padding: 0.4rem 0.8rem; }
code { background: #f2f4f5; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
@media screen and (max-width: 42rem) {
  .wide > svg { min-width: 40rem; }
  .sourced, .sourced tbody { display: block; }
  .sourced tr { display: block; border-bottom: 1px solid #e3e6e8; padding: 0.4rem 0; }
  .sourced thead, .sourced td:empty { display: none; }
  .sourced td, .sourced td:not(:last-child) { display: block; border: 0; padding: 0;
    text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .sourced td:first-child { font-weight: 600; }
  .sourced td[title]::before { content: attr(title) ": "; color: #5d656d; }
}
@media print { h2 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""
Shown = Bars | Timeline | Exception


def page(answer: Answered, result: Result) -> Iterator[str]:
    """Return the report's HTML, part by part.

    Parameters
    ----------
    answer : Answer
        What the figures show.
    result : Result
        Its one report in words, with the step by layers.
    """
    return html.page(
        f"{result.reports[0].scenario}: estimate", STYLE, _body(answer, result)
    )


def _body(answer: Answered, result: Result) -> Iterator[str]:
    first, *parts = sections(result)
    (footer,) = result.footers
    yield from _opening(result.reports[0], first, footer)
    figures = dict(write.found(answer))
    for part in parts:
        yield from _section(part, figures)
        figures.pop(part.figure, None)
    for name, shown in figures.items():
        yield html.words(name, "h2")
        yield _figure(name, shown)
    yield html.words("The same numbers again", "h2")
    yield f"<p><code>{escape(result.command)}</code></p>\n"
    yield html.words(footer, kind="pale")


def _opening(report: Report, first: Section, footer: str) -> Iterator[str]:
    yield html.words(first.title, "h1")
    yield html.words(footer, kind="pale")
    *said, answer = first.sentences
    for sentence in said:
        is_warning = sentence == misfit(report.memory)
        yield html.words(sentence, kind="warning" if is_warning else "")
    yield html.words(answer, kind="answer")


def _section(part: Section, figures: Mapping[str, Shown]) -> Iterator[str]:
    yield html.words(part.title, f"h{part.level}")
    if part.figure in figures:
        yield _figure(part.figure, figures[part.figure])
    if part.rows:
        yield from _table(part)
    if part.level > 2 and len(part.sentences) > 1:
        items = "".join(f"<li>{escape(each)}</li>" for each in part.sentences)
        yield f"<ul>{items}</ul>\n"
    else:
        yield from map(html.words, part.sentences)


def _figure(name: str, shown: Shown) -> str:
    """Return a figure, or why there is none."""
    if isinstance(shown, Exception):
        return html.words(f"Not drawn: {shown}")
    return html.figure(write.inline(name, shown))


def _table(part: Section) -> Iterator[str]:
    """Yield a table; on a narrow screen rows with a source become paragraphs."""
    heads, rows = cited(part, escape, escape)
    sides = (*part.is_right, *[False] * bool(part.sources))
    kinds = [("right",) if is_right else () for is_right in sides]
    columns = tuple(zip(kinds, ("", *heads[1:]), strict=True))
    return html.table(
        [html.Cell(head, kind) for head, kind in zip(heads, kinds, strict=True)],
        (_cells(row, columns) for row in rows),
        "sourced" if part.sources else "",
    )


def _cells(
    row: Sequence[str], columns: Sequence[tuple[tuple[str, ...], str]]
) -> list[html.Cell]:
    return [html.Cell(text, *at) for text, at in zip(row, columns, strict=True)]
