"""Commands over many scenarios: ``sweep``, ``plan`` and ``uncertainty``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.faces.cli.options import Json, Overrides, Quiet, ScenarioName
from estimator.faces.cli.output import print_json
from estimator.faces.endings import line, stopped
from estimator.ground.errors import InputError
from estimator.ground.extras import how

if TYPE_CHECKING:
    from estimator.explore.sweeps import Progress


def sweep_command(
    scenario: ScenarioName,
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=V1,V2 or LO:HI:N",
            help="An axis; repeatable. LO:HI for drawn designs.",
        ),
    ] = None,
    design: Annotated[
        str, typer.Option(help="grid, or drawn points: random or lhs.")
    ] = "grid",
    samples: Annotated[
        int | None, typer.Option(help="How many points are drawn.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same points.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the rows here: .parquet or .csv."),
    ] = None,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes; one per core.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on this Dask scheduler.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted sweep.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer a scenario at every combination of varied inputs, or at some drawn."""
    from estimator.explore.sweeps import sweep
    from estimator.show.tables import many as tables_many

    if out is None:
        raise InputError("a sweep writes its rows to a file", fix="--out rows.parquet")
    with _resumable(out), _progress("points", is_shown=not quiet) as progress:
        made = sweep(
            scenario,
            vary or (),
            overrides or (),
            design=design,
            num_samples=samples,
            seed=seed,
            out=out,
            jobs=jobs,
            dask=dask,
            resume=resume,
            progress=progress,
            note=None if quiet else partial(typer.echo, err=True),
        )
    if as_json:
        print_json({"out": str(out), **made.summary()})
        return
    tables_many.print_sweep(made, out)


def plan_command(
    scenario: ScenarioName,
    *,
    gpus: Annotated[
        str, typer.Option(metavar="N[,N...]", help="Numbers of GPUs to plan for.")
    ] = "",
    objective: Annotated[
        str, typer.Option(help="What is least: cost_usd or wall_s.")
    ] = "cost_usd",
    top: Annotated[int, typer.Option(help="Plans to show.")] = 10,
    deadline: Annotated[
        float | None, typer.Option(metavar="DAYS", help="The cheapest plan in time.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", help="The fastest plan within it.")
    ] = None,
    evaluate: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Plans evaluated in full for each number of GPUs."
        ),
    ] = None,
    software: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Train with this release of a framework."),
    ] = None,
    standing: Annotated[
        int,
        typer.Option(metavar="N", help="Rank the own plan among N drawn at random."),
    ] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same draws.")] = 0,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the best parallel plans that fit in memory, or how many GPUs it takes."""
    from estimator.explore.plan.search import plan
    from estimator.ground.units import DAY_S
    from estimator.show.tables import many as tables_many

    with _progress("plans", is_shown=not quiet) as progress:
        made = plan(
            scenario,
            [*([f"software={software}"] if software else ()), *(overrides or ())],
            gpus=_numbers(gpus),
            objective=objective,
            top=top,
            deadline_s=None if deadline is None else deadline * DAY_S,
            budget_usd=budget,
            num_drawn=standing,
            seed=seed,
            most_evaluated=evaluate,
            progress=progress,
        )
    if as_json:
        print_json(made.to_dict())
        return
    tables_many.print_plans(made)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise InputError(
            f"--gpus {text!r} is not a list of whole numbers", fix="--gpus 1024,2048"
        ) from None


def uncertainty_command(
    scenario: ScenarioName,
    *,
    samples: Annotated[int, typer.Option(help="Monte Carlo draws.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed, the same draws.")] = 0,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say how sure an estimate is, and what matters most, from the sourced ranges."""
    from estimator.explore.uncertainty import uncertainty
    from estimator.show.tables import many as tables_many

    made = uncertainty(scenario, overrides or (), num_samples=samples, seed=seed)
    if made.sobol is None and not quiet:
        typer.echo(f"Sobol indices need SALib: {how('search')}", err=True)
    if as_json:
        print_json(made.to_dict())
        return
    tables_many.print_uncertainty(made)


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say with the whole command line how an unfinished sweep goes on."""
    from estimator.explore.store import UnfinishedError, num_kept, parts_folder

    try:
        yield
    except (KeyboardInterrupt, UnfinishedError) as error:
        kept = num_kept(out)
        resume = ["--resume"] * (kept > 0 and "--resume" not in sys.argv)
        if isinstance(error, UnfinishedError):
            error.fix = line(*resume)
            raise
        words = f"parts kept in {parts_folder(out)}: {kept}; " if kept else ""
        raise stopped(f"{words}to go on", *resume) from None


@contextmanager
def _progress(what: str, *, is_shown: bool) -> Iterator[Progress | None]:
    """Show what is done, its rate and the time left, on a terminal only."""
    from estimator.show.console import progress_console

    console = progress_console() if is_shown else None
    if console is None:
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
        """So many per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed or 0.0
            return Text(f"{speed:,.0f}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        shown = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(shown, completed=done, total=total)

        yield tell
