"""The track record as one self-contained HTML page: no script, no request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.util import find_spec

from estimator.answer import provenance
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
:root { color-scheme: light dark; --line: #8884; --far: #c2410c; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; }
svg { display: block; max-width: 100%; height: auto; margin: 1.5rem 0;
  background: #fff; }
.number { text-align: right; white-space: nowrap; }
.far { color: var(--far); font-weight: 600; }
small { opacity: .75; }
@media (prefers-color-scheme: dark) { :root { --far: #fb923c; } }
"""
XMLNS = re.compile(r' xmlns(:\w+)?="[^"]*"')
"""What an SVG inside HTML does without."""
FAR = 0.2
"""|error| that the page sets apart."""
RUN_COLUMNS = (
    *texts("run", "GPU"),
    *numbers("GPUs"),
    *texts("plan", "quantity"),
    *numbers("measured", "predicted", "error"),
    *texts("source"),
)


def page(outcome: Outcome) -> str:
    """Return the page: what the errors come to, figures, every run with its source.

    Figures need the extra ``export``; without it a line says so in their place.
    """
    summary = outcome.summary()
    words = (sweep_words(summary), *memory_words(summary))
    source = provenance.of_data("validation", [row.to_dict() for row in outcome.rows])
    parts = [
        "<h1>Predicted against measured</h1>",
        f"<p>{escape(count_words(summary))} Error = predicted / measured - 1.</p>",
        *(f"<p>{escape(line)}</p>" for line in words),
        *_figures(outcome),
        _section("Over families", MEAN_COLUMNS, mean_lines(summary)),
        _section("By source family", FAMILY_COLUMNS, family_lines(outcome.rows)),
        _section("Ranking of plans inside sweeps", SWEEP_COLUMNS, sweep_lines(summary)),
        _section("Beside other simulators", PEER_COLUMNS, peer_lines(outcome)),
        _section("The same, run by run, s", ROW_COLUMNS, peer_row_lines(outcome)),
        _section("The main scenario", ANCHOR_COLUMNS, anchor_lines(outcome)),
        "<h2>Every run</h2>",
        _table(RUN_COLUMNS, (_run(row) for row in outcome.rows)),
        _section(
            "Without a prediction",
            UNMAPPED_COLUMNS,
            ((made.id, made.reason) for made in outcome.unmapped),
        ),
        f"<p><small>{escape(str(source))}</small></p>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Predicted against measured</title><style>{STYLE}</style></head>\n"
        f"<body>{chr(10).join(part for part in parts if part)}</body></html>\n"
    )


def _figures(outcome: Outcome) -> Iterator[str]:
    """Yield predicted against measured, then errors by accelerator, model and plan."""
    if not of_quantity(outcome.rows, "step_s"):
        return
    if find_spec("matplotlib") is None:
        yield "<p>The figures need the extra 'export'.</p>"
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
        yield XMLNS.sub("", inline(name, figure))


def _section(title: str, columns: Columns, lines: Iterable[Cells]) -> str:
    rows = [_line(columns, map(escape, line)) for line in lines]
    return f"<h2>{escape(title)}</h2>{_table(columns, rows)}" if rows else ""


def _table(columns: Columns, rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(column.head)}</th>" for column in columns)
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _line(columns: Columns, cells: Iterable[str]) -> str:
    """Return a row of HTML; numbers end on the right."""
    made = (
        f'<td class="number">{cell}</td>'
        if column.side == "right"
        else f"<td>{cell}</td>"
        for column, cell in zip(columns, cells, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"


def _run(row: Row) -> str:
    measured, predicted, error = shown(row)
    notes = "; ".join(row.assumptions)
    words = (row.id, row.gpu, f"{row.num_gpus:,}", row.plan)
    values = (QUANTITIES[row.quantity].title, measured, predicted)
    source = f"{row.source}; {row.where}".strip("; ")
    far = ' class="far"' if abs(row.error) > FAR else ""
    return _line(
        RUN_COLUMNS,
        (
            *map(escape, (*words, *values)),
            f"<span{far}>{escape(error)}</span>",
            f"<small>{escape(source)}"
            f"{escape(f'. Assumed: {notes}') if notes else ''}</small>",
        ),
    )
