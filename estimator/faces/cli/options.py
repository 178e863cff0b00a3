"""What commands have in common: options, and JSON on standard output."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change an input; repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr.")]


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=1, allow_nan=False))
