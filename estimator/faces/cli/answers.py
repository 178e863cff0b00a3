"""Commands that answer scenarios: ``run``, ``compare``, ``trace`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from estimator.catalog import building, loading
from estimator.faces.cli.options import (
    Chart,
    Json,
    Out,
    Overrides,
    Quiet,
    ScenarioName,
)
from estimator.faces.cli.output import again, is_handed_over, note, sets


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
    command = again("run", *scenarios, *sets(overrides), *["--layers"] * has_layers)
    made = Result(loaded, reports, command, steps if has_layers else (), failed=failed)
    for each in failed:
        typer.echo(f"{each.scenario} has no answer: {each.error}", err=True)
    if is_handed_over(made, out, as_json=as_json, quiet=quiet):
        return
    from estimator.show.tables import report as tables

    for number, report in enumerate(reports):
        tables.print_report(report, steps[number] or None, has_notes=not quiet)


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
        note(f"wrote {chart}", quiet=quiet)
    axes = [word for axis in vary or () for word in ("--vary", axis)]
    order = ["--sequential"] if sequential else []
    command = again("compare", *scenarios, *axes, *order, *sets(overrides))
    result = Result(
        made.scenarios, made.reports, command, comparison=made, failed=made.failed
    )
    if is_handed_over(result, out, as_json=as_json, quiet=quiet):
        return
    from estimator.show.tables import compare as tables_compare

    tables_compare.print_comparison(made, has_notes=not quiet)


def trace_command(
    scenario: ScenarioName,
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
    note(
        f"wrote {out}: {duration(step.step_s, CLOSE)} in {len(events):,} events, "
        f"{size(out.stat().st_size)}; open it in ui.perfetto.dev",
        quiet=quiet,
    )


def report_command(
    scenario: ScenarioName,
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
        note(f"wrote {path}", quiet=quiet)
