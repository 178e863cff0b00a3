"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from estimator.faces.cli.notes import silenced

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change an input; repeatable."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No notes on stderr.", callback=silenced),
]
ScenarioName = Annotated[str, typer.Argument(help="A built-in name or a file.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write tables: FILE.xlsx, .csv, .parquet, .json, .md or .tex.",
    ),
]
Chart = Annotated[
    Path | None,
    typer.Option(
        "--chart", metavar="FILE", help="Draw it: FILE.html, .png, .svg or .pdf."
    ),
]
