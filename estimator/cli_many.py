"""Commands over many scenarios: ``sweep``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.cli_options import Json, Overrides, Quiet, print_json

if TYPE_CHECKING:
    from estimator.sweep import Progress

ScenarioName = Annotated[str, typer.Argument(help="A built-in name or a file.")]


def add_to(cli: typer.Typer) -> None:
    """Add the commands of this module."""
    cli.command("sweep")(sweep_command)


def sweep_command(
    scenario: ScenarioName,
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=V1,V2 or LO:HI:N",
            help="An axis of the grid; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the rows here: .parquet or .csv."),
    ] = None,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes; one per core.")
    ] = None,
    dask: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Run on this Dask scheduler.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted sweep.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer a scenario at every combination of varied inputs."""
    from estimator import tables_many
    from estimator.errors import InputError
    from estimator.sweep import sweep

    if out is None:
        raise InputError("a sweep writes its rows to a file", fix="--out rows.parquet")
    with _progress(is_shown=not quiet) as progress:
        made = sweep(
            scenario,
            vary or (),
            overrides or (),
            out=out,
            jobs=jobs,
            dask=dask,
            resume=resume,
            progress=progress,
        )
    if as_json:
        print_json({"out": str(out), **made.summary()})
        return
    tables_many.print_sweep(made, out)


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Progress | None]:
    """Show points done, their rate and the time left, on a terminal only."""
    from rich.console import Console

    console = Console(stderr=True)
    if not (is_shown and console.is_terminal):
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        """Points per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed or 0.0
            return Text(f"{speed:,.0f}/s")

    columns = (
        TextColumn("points"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        shown = bar.add_task("points", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(shown, completed=done, total=total)

        yield tell
