"""The command line: its commands, in the order in which it lists them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from estimator.catalog.kinds import data_folder
from estimator.faces.cli import answers, catalog, many, notes, records, schedules
from estimator.faces.endings import ended

cli = typer.Typer(
    name="estimator",
    help="What training a large language model takes, before a GPU is rented.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(version("estimator"))
        raise typer.Exit


@cli.callback()
def _root(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    del version
    context.with_resource(notes.told())


def dashboard_command(
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; 8501 or the next free one."),
    ] = None,
) -> None:
    """Open the dashboard, on this machine only unless told otherwise."""
    from estimator.ground.extras import require

    require("the dashboard", "app", "streamlit", "plotly")
    from streamlit.web import cli as streamlit_cli

    app = str(data_folder() / "app.py")
    options = [f"--server.port={port}"] if port else []
    streamlit_cli.main(["run", app, *options], standalone_mode=False)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "run": answers.run_command,
    "compare": answers.compare_command,
    "validate": records.validate_command,
    "schedule": schedules.schedule_command,
    "trace": answers.trace_command,
    "report": answers.report_command,
    "list": catalog.list_command,
    "show": catalog.show_command,
    "schema": catalog.schema_command,
    "import-hf": catalog.import_command,
    "dashboard": dashboard_command,
    "sweep": many.sweep_command,
    "plan": many.plan_command,
    "uncertainty": many.uncertainty_command,
}
for name, command in COMMANDS.items():
    cli.command(name)(command)


def main() -> None:
    """Run the command line; a wrong input ends with one message and status 2."""
    sys.exit(ended(cli))
