"""What every file says of itself, and words that a spreadsheet must not run."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.explore.results import Result
from estimator.show.wording import unchecked

STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def about(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what a file holds and where it comes from, as names and words."""
    for report, source in zip(result.reports, result.sources, strict=True):
        yield "scenario", source.name
        yield "question", report.question
        yield "configuration", source.configuration
    yield "version", f"estimator {result.sources[0].version}"
    yield "date", result.sources[0].date
    yield "command", result.command
    yield "names", "those of `estimator run --json`; shares are fractions of 1"
    for name, part in (("ranges", "range_method"), ("not counted", "not_counted")):
        yield name, " ".join(result.said(part))
    if said := unchecked(result.reports):
        yield "not checked", " ".join(said)


def as_words(text: str) -> str:
    """Return text that a spreadsheet shows and does not run.

    >>> as_words("=1+1"), as_words("ib-ndr")
    ("'=1+1", 'ib-ndr')
    """
    return f"'{text}" if text.startswith(STARTS_A_FORMULA) else text
