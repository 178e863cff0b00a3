"""Tables in Markdown, as GitHub, pandoc and notebooks read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from estimator.explore.results import Result
from estimator.show.formats.base import writes
from estimator.show.sections import Section, cited, numbered, sections

MARKS = re.compile(r"[\\`*\[\]|~$#]|(?<!\w)_|_(?!\w)|^[>=]|^[-+](?= )")


@writes("md")
def encode(result: Result) -> bytes:
    """Return tables in Markdown, their sources below."""
    return "".join(_document(result)).encode()


def words(text: str) -> str:
    r"""Return text without what Markdown or HTML would read as a mark.

    >>> words("a|b <i> num_gpus _x_")
    'a\\|b &lt;i> num_gpus \\_x\\_'
    """
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return MARKS.sub(lambda found: f"\\{found[0]}", plain)


def _document(result: Result) -> Iterator[str]:
    parts = [part for part in sections(result) if part.rows or not part.figure]
    numbers = numbered(parts)
    for part in parts:
        yield f"{'#' * part.level} {words(part.headline)}\n\n"
        if part.rows:
            yield from _table(part, numbers)
            yield "\n"
        yield from (f"{words(sentence)}\n\n" for sentence in part.sentences)
    if numbers:
        yield "## Sources\n\n"
        yield from (f"{number}. {words(said)}\n" for said, number in numbers.items())
        yield "\n"
    yield f"---\n\n`{result.command.replace('`', '')}`\n\n" if result.command else ""
    yield "".join(f"{words(footer)}\n\n" for footer in result.footers)


def _table(part: Section, numbers: Mapping[str, int]) -> Iterator[str]:
    heads, rows = cited(part, words, lambda source: f"[{numbers[source]}]")
    sides = ["---:" if is_right else "---" for is_right in part.is_right]
    yield _row(heads)
    yield _row(sides + ["---"] * (len(heads) - len(sides)))
    yield from map(_row, rows)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
