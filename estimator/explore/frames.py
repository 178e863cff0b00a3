"""A result as data frames: tables to read, and one long table of every number.

Names are those of ``run --json``; a name's ending is its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from estimator.answer.report import Report, phase_basis
from estimator.explore.results import Result

Row = dict[str, Any]

UNITS: Mapping[str, str] = {
    "_s": "s",
    "_bytes": "B",
    "_usd": "USD",
    "_hours": "GPU-hours",
    "_joules": "J",
    "_kg": "kg",
    "_flop": "FLOP",
    "num_tokens": "tokens",
    "tokens_per_s": "tokens/s",
    "tokens_per_s_per_gpu": "tokens/s",
    "tflop_per_s_per_gpu": "TFLOP/s",
}
LONG = (
    "scenario",
    "table",
    "item",
    "quantity",
    "value",
    "unit",
    "low",
    "high",
    "text",
    "source",
)
"""Columns of the long table."""


def unit(name: str) -> str:
    """Return the unit that a name's ending says; 1 for counts and shares.

    >>> unit("step_s"), unit("memory.peak_bytes"), unit("mfu")
    ('s', 'B', '1')
    """
    fitting = [ending for ending in UNITS if name.endswith(ending)]
    return UNITS[max(fitting, key=len)] if fitting else "1"


def frames(result: Result) -> dict[str, pd.DataFrame]:
    """Return every table by name; the first column is the scenario."""
    held: dict[str, list[Row]] = {}
    for name, row in _rows(result):
        held.setdefault(name, []).append(row)
    return {name: pd.DataFrame(rows) for name, rows in held.items()}


def long(result: Result) -> pd.DataFrame:
    """Return one table with a row for every number; words stand in ``text``."""
    rows = [
        {"scenario": row["scenario"], "table": name, **number}
        for name, row in _rows(result)
        for number in LONG_ROWS.get(name, _numbers_of)(row)
    ]
    frame = pd.DataFrame(rows, columns=list(LONG))
    return frame.astype(dict.fromkeys(("value", "low", "high"), float))


def _rows(result: Result) -> Iterator[tuple[str, Row]]:
    """Yield the rows of all tables, each with its table's name."""
    for name, rows in TABLES.items():
        for report in result.reports:
            for row in rows(report):
                yield name, {"scenario": report.scenario} | row
    for report, steps in zip(result.reports, result.layers, strict=False):
        for layer, seconds in steps.items():
            row = {"scenario": report.scenario, "layer": layer, "step_s": seconds}
            yield "layers", row
    made = result.comparison
    if made is not None:
        yield from (("differences", vars(each)) for each in made.shares)
        for report, place, changes in zip(
            made.reports, made.baselines, made.changes, strict=True
        ):
            names = {
                "scenario": report.scenario,
                "against": made.reports[place].scenario,
            }
            yield "against_first", names | changes
        for report, note in zip(made.reports, made.adjusted, strict=False):
            if note:
                yield "adjusted", {"scenario": report.scenario, "adjusted": note}
    for each in result.failed:
        yield "failed", {"scenario": each.scenario, "error": each.error}


def _summary(report: Report) -> Iterator[Row]:
    for name in ("gpu", "software", "cost_basis"):
        yield {
            "quantity": name,
            **dict.fromkeys(("value", "unit", "low", "high")),
            "text": getattr(report, name),
        }
    ranges = {
        **report.range,
        "wall_s": report.wall_range_s,
        "step.mfu": report.mfu_range,
    }
    for name, value in _numbers("", report.to_dict()):
        low, high = ranges.get(name, (None, None))
        yield {
            "quantity": name,
            "value": float(value),
            "unit": unit(name),
            "low": low,
            "high": high,
        }


def _numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield numbers by their path in the JSON, what is in lists left out."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in ("range", "ranks"):
                yield from _numbers(f"{path}.{key}" if path else key, part)
    elif isinstance(value, int | float):
        yield path, value


def _phases(report: Report) -> Iterator[Row]:
    for phase in report.phases:
        row = vars(phase).copy()
        if phase.basis == "published":  # only its hours and dollars are known
            row |= {"num_tokens": None, "num_steps": None, "step_s": None}
            row |= {"model_flop": None}
        yield {"phase": row.pop("name")} | row


def _causes(report: Report) -> Iterator[Row]:
    step = report.step
    for cause, seconds in step.parts.items():
        yield {"cause": cause, "mean_s": seconds, "share": seconds / step.step_s}


def _ranks(report: Report) -> Iterator[Row]:
    for row, chunks in zip(report.step.ranks, report.memory.in_flight, strict=True):
        yield vars(row) | {"step_s": row.total_s, "in_flight": chunks}


def _memory(report: Report) -> Iterator[Row]:
    for rank, parts in enumerate(report.memory.ranks):
        held = {f"{part}_bytes": size for part, size in parts.items()}
        yield {
            "rank": rank,
            **held,
            "peak_bytes": sum(parts.values()),
            "hbm_bytes": report.memory.hbm_bytes,
            "headroom_bytes": report.memory.headroom_bytes,
        }


def _assumptions(report: Report) -> Iterator[Row]:
    for row in report.assumptions:
        is_said = isinstance(row.value, str)
        step_low, step_high = row.step_effect or (None, None)
        cost_low, cost_high = row.cost_effect or (None, None)
        yield {
            "constant": row.name,
            "value": None if is_said else float(row.value),
            "unit": row.unit,
            "low": row.low,
            "high": row.high,
            "step_at_low": step_low,
            "step_at_high": step_high,
            "cost_at_low": cost_low,
            "cost_at_high": cost_high,
            "layer": row.layer,
            "status": row.status,
            "source": row.source,
            "text": str(row.value) if is_said else None,
        }


TABLES: Mapping[str, Callable[[Report], Iterator[Row]]] = {
    "summary": _summary,
    "phases": _phases,
    "step": _causes,
    "ranks": _ranks,
    "memory": _memory,
    "assumptions": _assumptions,
}


def _numbers_of(row: Row) -> Iterator[Row]:
    """Yield the numbers of a row; its second cell says what it is about."""
    (_, _), (_, item), *cells = row.items()
    words = {"text": _basis(row), "source": row.get("source")}
    for name, value in cells:
        if isinstance(value, int | float):
            number = {"quantity": name, "value": value, "unit": unit(name)}
            yield {"item": str(item), **number, **words}


def _basis(row: Row) -> str | None:
    """Return how a phase's numbers are known, in words; None in other rows."""
    return phase_basis(row["basis"], row["scaled_from"]) if "basis" in row else None


def _constant(row: Row) -> Iterator[Row]:
    """Yield a constant, then what its ends do to the step or the cost, over 1."""
    held = {"item": row["constant"], "source": row["source"]}
    ends = {name: row[name] for name in ("value", "unit", "low", "high", "text")}
    yield {"quantity": "value", **held, **ends}
    for moved in ("step", "cost"):
        low, high = row[f"{moved}_at_low"], row[f"{moved}_at_high"]
        if low is not None:
            ratio = {"value": 1.0, "unit": "1", "low": low, "high": high}
            yield {"quantity": f"{moved}_ratio", **held, **ratio}


LONG_ROWS: Mapping[str, Callable[[Row], Iterable[Row]]] = {
    "summary": lambda row: [row],
    "assumptions": _constant,
    "adjusted": lambda row: [{"quantity": "adjusted", "text": row["adjusted"]}],
    "failed": lambda row: [{"quantity": "error", "text": row["error"]}],
}
"""What is not simply a row of numbers."""
