"""What the library warns of, as one note on standard error: a field that moved."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

from estimator.catalog.moved import MovedWarning


@contextmanager
def told() -> Iterator[None]:
    """Say of each path that moved once where it stands now; not as Python warns."""
    seen: set[str] = set()
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not isinstance(message, MovedWarning):
            usual(message, category, filename, lineno, file, line)
        elif message.path not in seen:
            seen.add(message.path)
            typer.echo(f"note: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", MovedWarning)
        warnings.showwarning = show
        yield


def silenced(quiet: bool) -> bool:
    """Say nothing of fields that moved, where ``--quiet`` asks for it."""
    if quiet:
        warnings.simplefilter("ignore", MovedWarning)
    return quiet
