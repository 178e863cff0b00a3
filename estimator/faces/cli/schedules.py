"""The command ``schedule``: a pipeline schedule on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from estimator.faces.cli.options import Chart, Json, Quiet
from estimator.faces.cli.output import note, print_json
from estimator.ground.errors import InputError


def _seconds(option: str, words: str) -> Any:
    """Return an option that takes seconds."""
    return typer.Option(option, metavar="SECONDS", help=words)


def schedule_command(
    name: Annotated[
        str, typer.Argument(help="A built-in name, or a CSV file in torch's notation.")
    ],
    *,
    ranks: Annotated[int | None, typer.Option(help="Pipeline ranks.")] = None,
    microbatches: Annotated[int | None, typer.Option(help="In all.")] = None,
    stages_per_rank: Annotated[
        int | None, typer.Option(help="Stages of a micro-batch's way on a rank.")
    ] = None,
    f_s: Annotated[float, _seconds("--f", "A rank's forward pass.")] = 1.0,
    i_s: Annotated[float, _seconds("--i", "Its backward pass to the input.")] = 1.0,
    w_s: Annotated[float, _seconds("--w", "Its backward pass to the weights.")] = 1.0,
    b_s: Annotated[
        float | None, _seconds("--b", "A whole backward pass; I + W unless given.")
    ] = None,
    fb_s: Annotated[
        float | None, _seconds("--fb", "An overlapped pair; F + B unless given.")
    ] = None,
    send_s: Annotated[float, _seconds("--send", "A message between ranks.")] = 0.0,
    as_json: Json = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the schedule to this file.")
    ] = None,
    chart: Chart = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="NAME", help="Draw this one below; repeatable."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show a pipeline schedule on its own: grid, bubble, activations in flight.

    Durations are what a rank spends on one micro-batch; its chunks share them.
    """
    from estimator.ground import files
    from estimator.schedules.closed_form import durations
    from estimator.schedules.text import program_lines
    from estimator.show import pictures, pipelines
    from estimator.show.console import columns

    if csv:
        files.check_target(csv)
    if chart:
        pictures.check_target(chart)
    elif against:
        raise InputError("--against needs --chart", fix="--chart schedules.svg")
    spent = durations(f_s, i_s, w_s, b_s, fb_s)
    step = pipelines.load_step(
        name, ranks, microbatches, stages_per_rank, spent, send_s=send_s
    )
    if csv:
        files.write_text(csv, program_lines(step.graph.program))
        note(f"wrote {csv}", quiet=quiet)
    if chart:
        others = pipelines.load_others(
            against or (), step, stages_per_rank, spent, send_s=send_s
        )
        pictures.write_schedules([step, *others], (spent, send_s), chart)
        note(f"wrote {chart}", quiet=quiet)
    if as_json:
        print_json(step.to_dict())
        return
    typer.echo("\n".join(pipelines.describe(step, columns(), has_notes=not quiet)))
