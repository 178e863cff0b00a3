"""One estimate as one HTML file: no script, no request, figures inside.

It shows the tables that the terminal shows, and above them their figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from estimator.answer.report import Report
from estimator.explore.results import Result
from estimator.show.figures import write
from estimator.show.findings.base import Answer, Bars, Timeline
from estimator.show.sections import Section, cited, sections
from estimator.show.wording import misfit

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2126; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 14px; margin: 0.6rem 0; }
.wide { overflow-x: auto; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e3e6e8; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.sourced td:not(:last-child) { white-space: nowrap; }
.answer { font-size: 18px; font-weight: 600; }
.pale { color: #5d656d; font-size: 13px; }
.warning { border-left: 4px solid #d1495b; padding: 0.4rem 0.8rem; }
code { background: #f2f4f5; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
@media screen and (max-width: 42rem) {
  .wide > svg { min-width: 40rem; }
  .sourced, .sourced tbody { display: block; }
  .sourced tr { display: block; border-bottom: 1px solid #e3e6e8; padding: 0.4rem 0; }
  .sourced tr:first-child, .sourced td:empty { display: none; }
  .sourced td, .sourced td:not(:last-child) { display: block; border: 0; padding: 0;
    text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .sourced td:first-child { font-weight: 600; }
  .sourced td[title]::before { content: attr(title) ": "; color: #5d656d; }
}
@media print { h2 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""
Shown = Bars | Timeline | Exception


def page(answer: Answer, result: Result) -> Iterator[str]:
    """Yield the report's HTML.

    Parameters
    ----------
    answer : Answer
        What the figures show.
    result : Result
        Its one report in words, with the step by layers.
    """
    first, *parts = sections(result)
    (footer,) = result.footers
    yield from _opening(result.reports[0], first, footer)
    figures = dict(write.found(answer))
    for part in parts:
        yield from _section(part, figures)
        figures.pop(part.figure, None)
    for name, shown in figures.items():
        yield f"<h2>{escape(name)}</h2>\n"
        yield from _figure(name, shown)
    yield "<h2>The same numbers again</h2>\n"
    yield f"<p><code>{escape(result.command)}</code></p>\n"
    yield f'<p class="pale">{escape(footer)}</p>\n</body>\n</html>\n'


def _opening(report: Report, first: Section, footer: str) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{escape(report.scenario)}: estimate</title>\n"
    yield f"<style>{STYLE}</style>\n</head>\n<body>\n"
    yield f'<h1>{escape(first.title)}</h1>\n<p class="pale">{escape(footer)}</p>\n'
    *said, answer = first.sentences
    for sentence in said:
        is_warning = misfit(report.memory) and sentence == said[0]
        mark = ' class="warning"' if is_warning else ""
        yield f"<p{mark}>{escape(sentence)}</p>\n"
    yield f'<p class="answer">{escape(answer)}</p>\n'


def _section(part: Section, figures: Mapping[str, Shown]) -> Iterator[str]:
    yield f"<h{part.level}>{escape(part.title)}</h{part.level}>\n"
    if part.figure in figures:
        yield from _figure(part.figure, figures[part.figure])
    if part.rows:
        yield from _table(part)
    if part.level > 2 and len(part.sentences) > 1:
        items = "".join(f"<li>{escape(each)}</li>" for each in part.sentences)
        yield f"<ul>{items}</ul>\n"
    else:
        yield "".join(f"<p>{escape(each)}</p>\n" for each in part.sentences)


def _figure(name: str, shown: Shown) -> Iterator[str]:
    """Yield a figure, or why there is none."""
    if isinstance(shown, Exception):
        yield f"<p>Not drawn: {escape(str(shown))}</p>\n"
    else:
        yield f'<div class="wide">{write.inline(name, shown)}</div>\n'


def _table(part: Section) -> Iterator[str]:
    """Yield a table; on a narrow screen rows with a source become paragraphs."""
    heads, rows = cited(part, escape, escape)
    sides = (*part.is_right, *[False] * bool(part.sources))
    kind = ' class="sourced"' if part.sources else ""
    yield f'<div class="wide"><table{kind}>\n'
    marks = [' class="right"' if is_right else "" for is_right in sides]
    labels = ["", *(f' title="{head}"' for head in heads[1:])]
    yield _row("th", marks, heads)
    tags = [f"{mark}{label}" for mark, label in zip(marks, labels, strict=True)]
    for row in rows:
        yield _row("td", tags, row)
    yield "</table></div>\n"


def _row(tag: str, attributes: Sequence[str], cells: Sequence[str]) -> str:
    made = "".join(
        f"<{tag}{more}>{cell}</{tag}>"
        for more, cell in zip(attributes, cells, strict=True)
    )
    return f"<tr>{made}</tr>\n"
