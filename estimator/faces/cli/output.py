"""What commands hand over: JSON on standard output, files, notes on standard error."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from estimator.explore.results import Result


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=1, allow_nan=False))


def note(text: str, *, quiet: bool) -> None:
    """Say what was done, on standard error."""
    if not quiet:
        typer.echo(text, err=True)


def is_handed_over(
    result: Result, out: Path | None, *, as_json: bool, quiet: bool
) -> bool:
    """Write and print what programs read; return whether anything was asked."""
    if out is not None:
        from estimator.show.formats.base import write

        write(result, out)
        note(f"wrote {out}", quiet=quiet)
    if as_json:
        print_json(result.to_dict())
    return as_json or out is not None


def again(*words: str) -> str:
    """Return the command line that gives the same numbers."""
    return shlex.join(["estimator", *words])


def sets(overrides: list[str] | None) -> list[str]:
    """Return the words of a command line that change inputs."""
    return [word for patch in overrides or () for word in ("--set", patch)]
