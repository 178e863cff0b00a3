"""The track record as one self-contained HTML page: no script, no request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.util import find_spec

from estimator.answer import provenance
from estimator.show import html
from estimator.show.findings.base import Figure
from estimator.show.findings.errors import errors
from estimator.show.findings.validation import validation
from estimator.show.validation.tables import (
    ANCHOR_COLUMNS,
    FAMILY_COLUMNS,
    MEAN_COLUMNS,
    PEER_COLUMNS,
    QUANTITIES,
    ROW_COLUMNS,
    SWEEP_COLUMNS,
    UNMAPPED_COLUMNS,
    Cells,
    Columns,
    anchor_lines,
    count_words,
    family_lines,
    mean_lines,
    memory_words,
    numbers,
    peer_lines,
    peer_row_lines,
    shown,
    sweep_lines,
    sweep_words,
    texts,
)
from estimator.validation.runs import Outcome
from estimator.validation.scoring import GROUPS, Row, families, of_quantity

STYLE = """
:root { color-scheme: light dark; --far: #c2410c; }
body { max-width: 72rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: Canvas; }
svg { margin: 1.5rem 0; background: #fff; }
.far { color: var(--far); font-weight: 600; }
small { opacity: .75; }
@media (prefers-color-scheme: dark) { :root { --far: #fb923c; } }
"""
FAR = 0.2
"""|error| that the page sets apart."""
RUN_COLUMNS = (
    *texts("run", "GPU"),
    *numbers("GPUs"),
    *texts("plan", "quantity"),
    *numbers("measured", "predicted", "error"),
    *texts("source"),
)


def page(outcome: Outcome) -> Iterator[str]:
    """Return the page: what the errors come to, figures, every run with its source.

    Figures need the extra ``export``; without it a line says so in their place.
    """
    return html.page("Predicted against measured", STYLE, _body(outcome))


def _body(outcome: Outcome) -> Iterator[str]:
    summary = outcome.summary()
    source = provenance.of_data("validation", [row.to_dict() for row in outcome.rows])
    yield html.words("Predicted against measured", "h1")
    yield html.words(f"{count_words(summary)} Error = predicted / measured - 1.")
    for line in (sweep_words(summary), *memory_words(summary)):
        yield html.words(line)
    yield from _figures(outcome)
    sections: Sequence[tuple[str, Columns, Iterable[Cells]]] = (
        ("Over families", MEAN_COLUMNS, mean_lines(summary)),
        ("By source family", FAMILY_COLUMNS, family_lines(outcome.rows)),
        ("Ranking of plans inside sweeps", SWEEP_COLUMNS, sweep_lines(summary)),
        ("Beside other simulators", PEER_COLUMNS, peer_lines(outcome)),
        ("The same, run by run, s", ROW_COLUMNS, peer_row_lines(outcome)),
        ("The main scenario", ANCHOR_COLUMNS, anchor_lines(outcome)),
    )
    for section in sections:
        yield from _section(*section)
    yield html.words("Every run", "h2")
    yield from html.table(_heads(RUN_COLUMNS), map(_run, outcome.rows))
    lost = ((made.id, made.reason) for made in outcome.unmapped)
    yield from _section("Without a prediction", UNMAPPED_COLUMNS, lost)
    yield f"<p><small>{escape(str(source))}</small></p>\n"


def _figures(outcome: Outcome) -> Iterator[str]:
    """Yield predicted against measured, then errors by accelerator, model and plan."""
    if not of_quantity(outcome.rows, "step_s"):
        return
    if find_spec("matplotlib") is None:
        yield html.words("The figures need the extra 'export'.")
        return
    from estimator.show.figures.write import inline

    made: dict[str, Figure] = {
        quantity: validation(outcome.rows, quantity)
        for quantity in ("step_s", "peak_bytes")
        if of_quantity(outcome.rows, quantity)
    }
    for name, key in GROUPS.items():
        words = "GPU" if name == "gpu" else name.replace("_", " ")
        made[name] = errors(words, families(outcome.rows, key))
    for name, figure in made.items():
        yield html.figure(inline(name, figure))


def _section(title: str, columns: Columns, lines: Iterable[Cells]) -> Iterator[str]:
    """Yield a table under its title, unless it is empty."""
    if rows := [_cells(columns, line) for line in lines]:
        yield html.words(title, "h2")
        yield from html.table(_heads(columns), rows)


def _heads(columns: Columns) -> list[html.Cell]:
    return [html.Cell(escape(column.head)) for column in columns]


def _cells(columns: Columns, line: Cells) -> list[html.Cell]:
    """Return a row; numbers end on the right."""
    return [
        html.Cell(escape(text), ("right",) if column.side == "right" else ())
        for column, text in zip(columns, line, strict=True)
    ]


def _run(row: Row) -> list[html.Cell]:
    measured, predicted, error = shown(row)
    notes = "; ".join(row.assumptions)
    told = f"{row.source}; {row.where}".strip("; ")
    told += f". Assumed: {notes}" if notes else ""
    title = QUANTITIES[row.quantity].title
    words = (row.id, row.gpu, f"{row.num_gpus:,}", row.plan, title, measured, predicted)
    far = ("far",) if abs(row.error) > FAR else ()
    return [
        *_cells(RUN_COLUMNS[: len(words)], words),
        html.Cell(escape(error), ("right", *far)),
        html.Cell(f"<small>{escape(told)}</small>"),
    ]
