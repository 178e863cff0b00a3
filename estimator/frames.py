"""A result as data frames: tables to read, and one long table of every number.

Names are those of ``run --json``; a name's ending is its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from estimator.report import Report
from estimator.results import Result

Row = dict[str, Any]

UNITS: Mapping[str, str] = {
    "_s": "s",
    "_bytes": "B",
    "_usd": "USD",
    "_hours": "GPU-hours",
    "_joules": "J",
    "_kg": "kg",
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
    made = {
        name: _frame(
            {"scenario": report.scenario} | row
            for report in result.reports
            for row in rows(report)
        )
        for name, rows in TABLES.items()
    }
    if result.layers:
        made["layers"] = _frame(
            {"scenario": report.scenario, "layer": layer, "step_s": seconds}
            for report, steps in zip(result.reports, result.layers, strict=True)
            for layer, seconds in steps.items()
        )
    if result.comparison is not None:
        made["differences"] = _frame(vars(s) for s in result.comparison.shares)
    return {name: frame for name, frame in made.items() if len(frame)}


def long(result: Result) -> pd.DataFrame:
    """Return one table with a row for every number; words stand in ``text``."""
    parts = [_long(name, frame) for name, frame in frames(result).items()]
    whole = pd.concat(parts, ignore_index=True).reindex(columns=list(LONG))
    numbers = ["value", "low", "high"]
    return whole.astype(dict.fromkeys(numbers, float))


def _frame(rows: Iterator[Row]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def _summary(report: Report) -> Iterator[Row]:
    yield {"quantity": "gpu", "value": None, "text": report.gpu}
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
        }


def _assumptions(report: Report) -> Iterator[Row]:
    for row in report.assumptions:
        is_said = isinstance(row.value, str)
        low, high = row.step_effect or (None, None)
        yield {
            "constant": row.name,
            "value": None if is_said else float(row.value),
            "unit": row.unit,
            "low": row.low,
            "high": row.high,
            "step_at_low": low,
            "step_at_high": high,
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


def _long(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table's numbers under each other, in the order of its rows."""
    if name == "summary":
        return frame.assign(table=name)
    if name == "assumptions":
        return _long_assumptions(frame.rename(columns={"constant": "item"}))
    key = frame.columns[1]
    texts = [key, "scenario", *(c for c in ("basis", "source") if c in frame)]
    numbers = frame.melt(id_vars=texts, var_name="quantity", ignore_index=False)
    numbers = numbers.sort_index(kind="stable").dropna(subset="value")
    made = numbers.rename(columns={key: "item", "basis": "text"})
    units = [unit(str(quantity)) for quantity in made["quantity"]]
    return made.assign(table=name, unit=units, item=made["item"].astype(str))


def _long_assumptions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each constant, then what its ends do to the step, which is 1 without."""
    moving = frame.dropna(subset=["step_at_low"])
    effects = moving.assign(
        quantity="step_ratio",
        value=1.0,
        unit="1",
        low=moving["step_at_low"],
        high=moving["step_at_high"],
    )
    whole = pd.concat([frame.assign(quantity="value"), effects])
    return whole.sort_index(kind="stable").assign(table="assumptions")
