"""The command line: parse, call, print."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estimator.catalog import building, kinds, loading, reading
from estimator.faces.cli import many
from estimator.faces.cli.options import Json, Overrides, Quiet, print_json
from estimator.faces.endings import ended
from estimator.ground.errors import InputError

if TYPE_CHECKING:
    from estimator.explore.results import Result

cli = typer.Typer(
    name="estimator",
    help="What training a large language model takes, before a GPU is rented.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PIPED_WIDTH = 110


def _seconds(option: str, words: str) -> Any:
    """Return an option that takes seconds."""
    return typer.Option(option, metavar="SECONDS", help=words)


Kind = Annotated[
    str,
    typer.Argument(
        help="gpu, node, fabric, price, power, programme, model, scenario, schedule, "
        "collective, chart"
    ),
]
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


def _print_version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(version("estimator"))
        raise typer.Exit


@cli.callback()
def _root(
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


@cli.command("run")
def run_command(
    scenarios: Annotated[
        list[str], typer.Argument(help="Built-in names or files; NAME@VARIANT+VARIANT.")
    ],
    *,
    overrides: Overrides = None,
    has_layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Show the step as layers of constants are added."
        ),
    ] = False,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate scenarios: GPU-hours, wall time, dollars, and where each second goes."""
    if out is not None:
        from estimator.show.formats.base import check_target

        check_target(out)
    from estimator.answer import api
    from estimator.explore.results import Result
    from estimator.ground.attempts import attempted

    documents = [loading.scenario_document(name, overrides or ()) for name in scenarios]

    def answer(place: int) -> tuple[Any, Any, Any]:
        scenario = building.build("scenario", documents[place], scenarios[place])
        report = api.estimate(scenario)
        return scenario, report, api.layers(scenario) if has_layers else {}

    answers, failed = attempted(scenarios, answer)
    loaded, reports, steps = zip(*answers, strict=True)
    again = _again("run", *scenarios, *_sets(overrides), *["--layers"] * has_layers)
    made = Result(loaded, reports, again, steps if has_layers else (), failed=failed)
    for each in failed:
        typer.echo(f"{each.scenario} has no answer: {each.error}", err=True)
    if _is_handed_over(made, out, as_json=as_json, quiet=quiet):
        return
    from estimator.show.tables import report as tables

    for number, report in enumerate(reports):
        tables.print_report(report, steps[number] or None, has_notes=not quiet)


@cli.command("compare")
def compare_command(
    scenarios: Annotated[list[str], typer.Argument(help="Built-in names or files.")],
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="PATH=V1,V2,...", help="One column per value."),
    ] = None,
    sequential: Annotated[
        bool,
        typer.Option("--sequential", help="Attribute one input after the other."),
    ] = False,
    overrides: Overrides = None,
    out: Out = None,
    chart: Chart = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show scenarios side by side, the difference to the first one attributed."""
    if out is not None:
        from estimator.show.formats.base import check_target

        check_target(out)
    from estimator.explore import comparison
    from estimator.explore.results import Result
    from estimator.show import pictures

    if chart is not None:
        pictures.check_target(chart)
    made = comparison.compare(
        scenarios, vary or (), overrides or (), is_sequential=sequential
    )
    if chart is not None:
        pictures.write_difference(made, chart)
        _note(f"wrote {chart}", quiet=quiet)
    axes = [word for axis in vary or () for word in ("--vary", axis)]
    order = ["--sequential"] if sequential else []
    again = _again("compare", *scenarios, *axes, *order, *_sets(overrides))
    result = Result(
        made.scenarios, made.reports, again, comparison=made, failed=made.failed
    )
    if _is_handed_over(result, out, as_json=as_json, quiet=quiet):
        return
    from estimator.show.tables import compare as tables_compare

    tables_compare.print_comparison(made, has_notes=not quiet)


@cli.command("validate")
def validate_command(
    *,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="FILE", help="A runs file; ours without."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="calibration, public")
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="One source, such as sc21."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.html", help="Write a page here."),
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables of the README.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show every published run against its prediction, with the error."""
    from estimator.ground import files
    from estimator.validation.runs import validate as validated

    if out is not None:
        files.check_target(out)
    outcome = validated(runs, split=split, source=family)
    if out is not None:
        from estimator.show.validation.page import page

        files.write_text(out, [page(outcome)])
        _note(f"wrote {out}", quiet=quiet)
    if as_json:
        print_json(outcome.to_dict())
    elif as_markdown:
        from estimator.show.validation.markdown import markdown

        typer.echo(markdown(outcome), nl=False)
    elif out is None:
        from estimator.show.validation.tables import print_outcome

        print_outcome(outcome)
    if not quiet and (as_json or as_markdown or out is not None):
        for lost in outcome.unmapped:
            if lost.is_broken:
                typer.echo(f"{lost.id}: {lost.reason}", err=True)
    if not quiet:
        for name in outcome.repeated:
            typer.echo(f"{name}: stands more than once, and counts each time", err=True)


@cli.command("schedule")
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
        _note(f"wrote {csv}", quiet=quiet)
    if chart:
        others = pipelines.load_others(
            against or (), step, stages_per_rank, spent, send_s=send_s
        )
        pictures.write_schedules([step, *others], (spent, send_s), chart)
        _note(f"wrote {chart}", quiet=quiet)
    if as_json:
        print_json(step.to_dict())
        return
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else PIPED_WIDTH
    typer.echo("\n".join(pipelines.describe(step, width, has_notes=not quiet)))


@cli.command("trace")
def trace_command(
    scenario: Annotated[str, typer.Argument(help="A built-in name or a file.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="FILE.json or FILE.json.gz.")
    ],
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Write one step, operation by operation, for ui.perfetto.dev."""
    from estimator.answer import api
    from estimator.ground import files
    from estimator.ground.words import CLOSE, duration, size
    from estimator.show import perfetto

    files.check_target(out, files.TRACE_SUFFIXES)
    loaded = loading.load_scenario(scenario, overrides or ())
    step = api.traced_step(loaded)
    events = perfetto.events(step)
    files.write_trace(out, events, perfetto.about(step, loaded))
    _note(
        f"wrote {out}: {duration(step.step_s, CLOSE)} in {len(events):,} events, "
        f"{size(out.stat().st_size)}; open it in ui.perfetto.dev",
        quiet=quiet,
    )


@cli.command("report")
def report_command(
    scenario: Annotated[str, typer.Argument(help="A built-in name or a file.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="FILE.html, whole in itself."),
    ] = None,
    charts: Annotated[
        Path | None,
        typer.Option("--charts", metavar="DIR", help="A file per figure, in here."),
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Of --charts: png, svg, pdf.")
    ] = "png,svg,pdf",
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Write an estimate as one HTML file, its figures as files, or both."""
    from estimator.show import pictures

    kinds = pictures.formats(formats)
    for path in pictures.write_report(scenario, overrides or (), out, charts, kinds):
        _note(f"wrote {path}", quiet=quiet)


@cli.command("list")
def list_command(kind: Kind, *, as_json: Json = False, quiet: Quiet = False) -> None:
    """List what is built in."""
    from estimator.show import listing

    rows = listing.rows(kind)
    if as_json:
        print_json(rows)
        return
    from estimator.show.tables import catalog as tables_catalog

    tables_catalog.print_rows(kind, rows, has_notes=not quiet)


@cli.command("show")
def show_command(
    kind: Kind,
    name: Annotated[str, typer.Argument(help="A built-in name or a file.")],
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show one thing with the source of each number."""
    del quiet
    from estimator.show import listing

    shown = listing.show(kind, name)
    if as_json:
        print_json(shown)
        return
    from estimator.show.tables import catalog as tables_catalog

    tables_catalog.print_record(shown)


@cli.command("schema")
def schema_command(kind: Kind) -> None:
    """Print the JSON Schema of an input file, for editors."""
    from estimator.show import listing

    print_json(listing.schema(kind))


@cli.command("import-hf")
def import_command(
    config: Annotated[Path, typer.Argument(help="A Hugging Face config.json.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the model file here.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Turn a Hugging Face config.json into a model file: `model: ./x.yaml`."""
    from estimator.catalog.foreign import huggingface
    from estimator.ground import files

    if out is not None:
        files.check_target(out)
    made = huggingface.model_yaml(reading.read_text(config), str(config))
    if out is None:
        typer.echo(made, nl=False)
        return
    files.write_text(out, [made])
    _note(f"wrote {out}", quiet=quiet)


@cli.command("dashboard")
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

    app = str(kinds.data_folder() / "app.py")
    options = [f"--server.port={port}"] if port else []
    streamlit_cli.main(["run", app, *options], standalone_mode=False)


def _sets(overrides: list[str] | None) -> list[str]:
    return [word for patch in overrides or () for word in ("--set", patch)]


def _again(*words: str) -> str:
    """Return the command line that gives the same numbers."""
    return shlex.join(["estimator", *words])


def _is_handed_over(
    result: Result, out: Path | None, *, as_json: bool, quiet: bool
) -> bool:
    """Write and print what programs read; return whether anything was asked."""
    if out is not None:
        from estimator.show.formats.base import write

        write(result, out)
        _note(f"wrote {out}", quiet=quiet)
    if as_json:
        print_json(result.to_dict())
    return as_json or out is not None


def _note(text: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(text, err=True)


many.add_to(cli)


def main() -> None:
    """Run the command line; a wrong input ends with one message and status 2."""
    sys.exit(ended(cli))
