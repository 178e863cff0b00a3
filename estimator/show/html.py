"""A page that is one file: no script, no request; its head, tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
svg { display: block; max-width: 100%; height: auto; margin: 1rem 0; }
table { border-collapse: collapse; }
th, td { padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
"""
"""What all pages look like; each adds its own."""
_XMLNS = re.compile(r' xmlns(:\w+)?="[^"]*"')
"""What an SVG inside HTML does without."""


class Cell(NamedTuple):
    """A cell of a table."""

    html: str
    classes: tuple[str, ...] = ()
    title: str = ""
    """In HTML: its column, where rows are shown as paragraphs."""


def page(title: str, style: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield a page.

    Parameters
    ----------
    title : str
        In words.
    style : str
        What its looks add to :data:`STYLE`.
    parts : iterable of str
        Its body, in HTML.
    """
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{escape(title)}</title>\n"
    yield f"<style>{STYLE}{style}</style>\n</head>\n<body>\n"
    yield from parts
    yield "</body>\n</html>\n"


def words(text: str, tag: str = "p", kind: str = "") -> str:
    """Return a paragraph, or another element, of words.

    >>> print(words("a < b", "h2", "pale").strip())
    <h2 class="pale">a &lt; b</h2>
    """
    return f"<{tag}{_classes((kind,) if kind else ())}>{escape(text)}</{tag}>\n"


def figure(svg: str) -> str:
    """Return a figure, which scrolls where the page is narrower."""
    return f'<div class="wide">{_XMLNS.sub("", svg)}</div>\n'


def table(
    heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], kind: str = ""
) -> Iterator[str]:
    """Yield a table, which scrolls where the page is narrower.

    Parameters
    ----------
    kind : str
        The class of the table, for its page's style.
    """
    yield f'<div class="wide"><table{_classes((kind,) if kind else ())}>\n'
    yield f"<thead>{_row('th', heads)}</thead>\n<tbody>\n"
    for row in rows:
        yield f"{_row('td', row)}\n"
    yield "</tbody></table></div>\n"


def _row(tag: str, cells: Sequence[Cell]) -> str:
    made = "".join(
        f"<{tag}{_classes(cell.classes)}{_title(cell.title)}>{cell.html}</{tag}>"
        for cell in cells
    )
    return f"<tr>{made}</tr>"


def _classes(names: Sequence[str]) -> str:
    return f' class="{" ".join(names)}"' if names else ""


def _title(html: str) -> str:
    return f' title="{html}"' if html else ""
