"""The command ``validate``: published runs against their predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from estimator.faces.cli.options import Json, Quiet
from estimator.faces.cli.output import note, print_json


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

        files.write_text(out, page(outcome))
        note(f"wrote {out}", quiet=quiet)
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
