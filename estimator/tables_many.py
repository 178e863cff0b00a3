"""Sweeps, plans and uncertainty as tables for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from estimator.sweep import Sweep
from estimator.units import DAY_S

PIPED_WIDTH = 110


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    return console


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def print_sweep(made: Sweep, out: Path) -> None:
    """Print how many points fit, the cheapest one, and why others do not work."""
    summary, console = made.summary(), _console()
    console.print(f"{len(made):,} points, {made.num_fitting:,} fit: {out}")
    best = summary["cheapest"]
    if best:
        table = _table("the cheapest point that fits", "", "")
        for name in made.axes:
            table.add_row(name, _shown(best[name]))
        table.add_row("GPU-hours", f"{best['gpu_hours']:,.0f}")
        table.add_row("dollars", f"{best['cost_usd']:,.0f}")
        table.add_row("days", f"{best['wall_s'] / DAY_S:,.1f}")
        table.add_row("MFU", f"{best['mfu']:.1%}")
        console.print(table)
    if summary["reasons"]:
        table = _table("why other points do not work", "reason", "points")
        for reason, count in summary["reasons"].items():
            table.add_row(reason, f"{count:,}")
        console.print(table)


def _shown(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
