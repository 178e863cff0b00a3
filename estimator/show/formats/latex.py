r"""Tables in LaTeX, their sources cited: to compile, or to ``\input`` in a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_letters, digits

from estimator.explore.results import Result
from estimator.show.formats.base import writes
from estimator.show.sections import Section, cited, numbered, sections

PREAMBLE = r"""
% Compiles as it is. In a paper, whose preamble needs
% \usepackage{array,booktabs,longtable,standalone}, \input passes this one's over.
\documentclass[a4paper,10pt]{article}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[margin=2cm]{geometry}
\usepackage{array,booktabs,longtable}
\begin{document}
""".lstrip()
SIGNS = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    # behind the end of a row these would be read as its options
    **{sign: f"{{{sign}}}" for sign in "[]*"},
}
LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)")
BROKEN = 34
"""Letters of a cell from which its column's lines are broken."""
LINE = 118
"""Letters of a line of a table."""
SOURCE = 14
"""Letters of a citation and how its source is known."""
KEPT = frozenset(ascii_letters + digits + " !'()+,-./:;=?@") | {
    *map(chr, range(0xC0, 0x100))
}
"""The rest is written by name, and what LaTeX's fonts lack by its number."""


@writes("tex")
def encode(result: Result) -> bytes:
    """Return tables in LaTeX, their sources as a bibliography."""
    return "".join(_document(result)).encode()


def words(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> words("50 % of {x} & peak_flop --set #1")
    '50 \\% of \\{x\\} \\& peak\\_flop -{}-set \\#1'
    >>> words("\u03bb")
    '[U+03BB]'
    """
    signs = (
        sign if sign in KEPT else SIGNS.get(sign) or f"[U+{ord(sign):04X}]"
        for sign in " ".join(text.split())
    )
    return LIGATURE.sub("{}", "".join(signs))


def _document(result: Result) -> Iterator[str]:
    parts = [part for part in sections(result) if part.rows or not part.figure]
    numbers = numbered(parts)
    first = result.sources[0].configuration
    own = {source.configuration: str(source) for source in result.sources}
    yield "".join(f"% {words(footer)}\n" for footer in result.footers)
    yield f"% {words(result.command)}\n{PREAMBLE}"
    for part in parts:
        title = words(part.headline)
        if part.rows:
            caption = f"{title}~\\cite{{{','.join(own)}}}"
            yield from _table(part, numbers, first, caption)
        elif part.level == 1:
            yield f"\\section*{{{title}}}\n"
        else:
            yield f"\\medskip\\noindent\\textbf{{{title}}}\\par\n"
        for sentence in part.sentences:
            yield f"\\noindent {words(sentence)}\\par\n"
    yield "\\begin{thebibliography}{99}\n"
    for configuration, footer in own.items():
        yield f"\\bibitem{{{configuration}}} {words(footer)}"
        yield f" | \\texttt{{{words(result.command)}}}\n" if result.command else "\n"
    for said, number in numbers.items():
        yield f"\\bibitem{{{first}-{number}}} {words(said)}\n"
    yield "\\end{thebibliography}\n\\end{document}\n"


def _table(
    part: Section, numbers: Mapping[str, int], prefix: str, caption: str
) -> Iterator[str]:
    heads, rows = cited(part, words, lambda said: f"\\cite{{{prefix}-{numbers[said]}}}")
    layout = _layout(part) + "l" * bool(part.sources)
    head = f"\\toprule\n{_row(heads)}\\midrule\n"
    yield "{\\footnotesize\\setlength{\\tabcolsep}{4pt}\n"
    yield f"\\begin{{longtable}}{{{layout}}}\n\\caption{{{caption}}}\\\\\n"
    yield f"{head}\\endfirsthead\n{head}\\endhead\n\\bottomrule\n\\endlastfoot\n"
    yield from map(_row, rows)
    yield "\\end{longtable}}\n"


def _layout(part: Section) -> str:
    """Return the columns: numbers to the right, long words broken into lines."""
    widths = [
        max(len(head), *(len(row[column]) for row in part.rows))
        for column, head in enumerate(part.heads)
    ]
    room = LINE - 2 * len(widths) - SOURCE * bool(part.sources)
    broken: set[int] = set()
    for column in sorted(range(len(widths)), key=lambda column: -widths[column]):
        kept = sum(widths) - sum(widths[each] for each in broken)
        if not part.is_right[column] and (widths[column] > BROKEN or kept > room):
            broken.add(column)
    kept = sum(widths) - sum(widths[each] for each in broken)
    left = max(0.15, 0.95 * (room - kept) / LINE / max(1, len(broken)))
    wide = rf">{{\raggedright\arraybackslash}}p{{{left:.2f}\linewidth}}"
    return "".join(
        wide if column in broken else "r" if is_right else "l"
        for column, is_right in enumerate(part.is_right)
    )


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\\n"
