"""Commands about what is built in: ``list``, ``show``, ``schema``, ``import-hf``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from estimator.catalog import reading
from estimator.catalog.kinds import KINDS
from estimator.faces.cli.options import Json, Quiet
from estimator.faces.cli.output import note, print_json

Kind = Annotated[
    str, typer.Argument(help=f"{', '.join(KINDS)}, schedule, collective, chart")
]


def list_command(kind: Kind, *, as_json: Json = False, quiet: Quiet = False) -> None:
    """List what is built in."""
    from estimator.show import listing

    rows = listing.rows(kind)
    if as_json:
        print_json(rows)
        return
    from estimator.show.tables import catalog as tables_catalog

    tables_catalog.print_rows(kind, rows, has_notes=not quiet)


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


def schema_command(kind: Kind) -> None:
    """Print the JSON Schema of an input file, for editors."""
    from estimator.show import listing

    print_json(listing.schema(kind))


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
    note(f"wrote {out}", quiet=quiet)
