"""Figures as bytes and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from estimator import export
from estimator.figures import bars, timeline
from estimator.figures.frame import STYLE, encoded
from estimator.findings.base import Answer, Bars, Timeline, finding


def drawn(made: Bars | Timeline, footer: str) -> Figure:
    """Return the figure of a finding."""
    with rc_context(STYLE):
        if isinstance(made, Timeline):
            return timeline.draw(made, footer)
        return bars.draw(made, footer)


def write(made: Bars | Timeline, footer: str, path: Path) -> None:
    """Write a finding's figure; the file's ending says how.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    figure = drawn(made, footer)
    export.write_bytes(path, [encoded(figure, path.suffix[1:].lower())])


def write_all(
    answer: Answer, footer: str, folder: Path, formats: Sequence[str]
) -> list[Path]:
    """Write every figure of an estimate into a folder, and return the files."""
    written = []
    for name in finding:
        figure = drawn(finding[name](answer), footer)
        for file_format in formats:
            path = folder / f"{name}.{file_format}"
            export.write_bytes(path, [encoded(figure, file_format)])
            written.append(path)
    return written
