"""Figures as bytes and as files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from estimator.ground import files
from estimator.ground.errors import InfeasibleError
from estimator.show.figures import bars, heat, plot, timeline
from estimator.show.figures.frame import STYLE, encoded
from estimator.show.findings.base import Answered, Bars, Heat, Plot, Timeline, finding
from estimator.show.findings.base import Figure as Made


def drawn(made: Made, footer: str) -> Figure:
    """Return the figure of a finding."""
    with rc_context(STYLE):
        figure = _draw(made, footer)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # a second layout would move by rounding
        return figure


def _draw(made: Made, footer: str) -> Figure:
    if isinstance(made, Timeline):
        return timeline.draw(made, footer)
    if isinstance(made, Plot):
        return plot.draw(made, footer)
    if isinstance(made, Heat):
        return heat.draw(made, footer)
    return bars.draw(made, footer)


def write(made: Made, footer: str, path: Path) -> None:
    """Write a finding's figure; the file's ending says how.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    figure = drawn(made, footer)
    files.write_bytes(path, [encoded(figure, path.suffix[1:].lower())])


def found(answer: Answered) -> Iterator[tuple[str, Bars | Timeline | InfeasibleError]]:
    """Yield each figure's name and what it shows, or why there is nothing to show."""
    for name in finding:
        try:
            yield name, finding[name](answer)
        except InfeasibleError as error:  # a step that is too long to be played
            yield name, error


def write_all(
    answer: Answered, footer: str, folder: Path, formats: Sequence[str]
) -> list[Path]:
    """Write every figure of an estimate into a folder, and return the files."""
    written = []
    for name, made in found(answer):
        if isinstance(made, InfeasibleError):
            continue
        figure = drawn(made, footer)
        for file_format in formats:
            path = folder / f"{name}.{file_format}"
            files.write_bytes(path, [encoded(figure, file_format)])
            written.append(path)
    return written


def inline(name: str, made: Made) -> str:
    """Return a figure as an SVG element, for a page with several of them.

    Parameters
    ----------
    name : str
        Stands before the figure's identifiers, which would be another's too.
    """
    text = encoded(drawn(made, ""), "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    words = escape(made.finding)
    return text.replace("<svg", f'<svg role="img" aria-label="{words}"', 1)
