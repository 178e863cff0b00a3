"""Sweeps, plans and uncertainty as tables for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from estimator.explore.plan.ranking import PlanRow, Plans
from estimator.explore.sweeps import Sweep
from estimator.explore.uncertainty import Uncertainty
from estimator.ground.words import CLOSE, dollars, duration, quantity, short, size
from estimator.show.console import console
from estimator.show.wording import OUTCOMES

PLAN_COLUMNS = "plan", "GPUs", "step", "wall time", "GPU-hours", "cost", "MFU", "memory"
SWING_COLUMNS = (
    *("constant", "low", "high"),
    *("hours at low", "at high", "cost at low", "at high"),
)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def print_sweep(made: Sweep, out: Path) -> None:
    """Print how many points fit, the cheapest one, and why others do not work."""
    summary, terminal = made.summary(), console()
    terminal.print(
        f"{len(made):,} points, {made.num_fitting:,} fit, "
        f"{made.num_with_headroom:,} with headroom: {out}"
    )
    terminal.print(f"Dollars: {made.cost_basis}.")
    best = summary["cheapest"]
    if best:
        table = _table("the cheapest point that fits", "", "")
        for name in made.axes:
            table.add_row(name, _shown(best[name]))
        if best["adjusted"]:
            table.add_row("adjusted", best["adjusted"])
        table.add_row("GPU-hours", short(best["gpu_hours"]))
        table.add_row("cost", dollars(best["cost_usd"]))
        table.add_row("wall time", duration(best["wall_s"]))
        table.add_row("MFU", f"{best['mfu']:.1%}")
        terminal.print(table)
    if summary["num_adjusted"]:
        terminal.print(
            f"{summary['num_adjusted']:,} points are the nearest that run: "
            "the column adjusted says what was changed."
        )
    if summary["reasons"]:
        table = _table("why other points do not work", "reason", "points")
        for reason, count in summary["reasons"].items():
            table.add_row(reason, f"{count:,}")
        terminal.print(table)


def print_plans(made: Plans) -> None:
    """Print the best plans, how they were found, and the answer to a question."""
    terminal = console()
    table = _table(
        f"the best plans of {made.scenario} by {made.objective}",
        *PLAN_COLUMNS,
    )
    for row in made.plans:
        table.add_row(*_plan_cells(row))
    terminal.print(table)
    if made.given:
        barely = ", fits without headroom" if made.given.fits else ", does not fit"
        fits = "" if made.given.fits_with_headroom else barely
        table = _table(f"the scenario's own plan{fits}", *[""] * 8)
        table.add_row(*_plan_cells(made.given))
        terminal.print(table)
    if len(made.pareto) > 1:
        table = _table(
            "neither faster nor cheaper exists",
            *PLAN_COLUMNS,
        )
        for row in made.pareto:
            table.add_row(*_plan_cells(row))
        terminal.print(table)
    terminal.print(
        f"{made.num_considered:,} plans considered, {made.num_feasible:,} may fit "
        f"with {made.memory_headroom:.1%} of the memory free, "
        f"{made.num_evaluated:,} evaluated in full; "
        + (
            "the bounds of all others are above these"
            if made.is_proven
            else "others have bounds below these: better ones are not excluded"
        )
    )
    if made.standing:
        stands = made.standing
        terminal.print(
            f"of {stands.num_drawn:,} plans drawn at random {stands.num_fitting:,} fit "
            f"in memory, {stands.num_better:,} of them ({stands.share_better:.0%}) "
            "are better than the scenario's own"
        )
    if made.cost_basis:
        terminal.print(f"Dollars: {made.cost_basis}.")
    if made.answer:
        row = made.answer
        terminal.print(
            f"answer: {row.num_gpus:,} GPUs, {duration(row.wall_s)}, "
            f"{dollars(row.cost_usd)}: {_plan_words(row)}"
        )


def _plan_words(row: PlanRow) -> str:
    plan = row.plan
    sizes = " ".join(
        f"{name}{plan[name]}"
        for name in ("tp", "cp", "pp", "ep", "etp", "dp")
        if plan[name] > 1
    )
    sizes += f" zero{plan['zero']}"
    stages = f" x{plan['stages_per_rank']}" if plan["stages_per_rank"] else ""
    modules = ",".join(plan["recompute"]) or "none"
    text = f"{sizes} {plan['schedule']}{stages} mbs{plan['micro_batch_size']}"
    return f"{text} recompute {modules}"


def _plan_cells(row: PlanRow) -> tuple[str, ...]:
    return (
        _plan_words(row),
        f"{row.num_gpus:,}",
        duration(row.step_s, CLOSE),
        duration(row.wall_s, CLOSE),
        short(row.gpu_hours, CLOSE),
        dollars(row.cost_usd, CLOSE),
        f"{row.mfu:.1%}",
        size(row.memory_bytes),
    )


def print_uncertainty(made: Uncertainty) -> None:
    """Print the distribution, the tornado and the Sobol indices."""
    terminal = console()
    table = _table(
        f"{made.scenario}: {made.num_samples:,} draws, seed {made.seed}; "
        f"{made.cost_basis}",
        *("", "P10", "P50", "P90", "at the values"),
    )
    for name, spread in made.spreads.items():
        shown = (spread.p10, spread.p50, spread.p90, spread.value)
        title, words = OUTCOMES[name]
        table.add_row(title, *(words(value, CLOSE) for value in shown))
    terminal.print(table)
    table = _table(
        "GPU-hours and dollars as one constant goes from its low to its high end",
        *SWING_COLUMNS,
    )
    for swing in made.tornado:
        table.add_row(
            swing.input.removeprefix("cluster."),
            quantity(swing.low, swing.unit),
            quantity(swing.high, swing.unit),
            *(short(hours, CLOSE) for hours in swing.gpu_hours),
            *(dollars(usd, CLOSE) for usd in swing.cost_usd),
        )
    terminal.print(table)
    if made.sobol:
        table = _table(
            "Sobol indices: shares of the variance of the cost",
            *("constant", "first order", "total"),
        )
        for index in made.sobol:
            table.add_row(
                index.input.removeprefix("cluster."),
                f"{index.first:.3f} ± {index.first_confidence:.3f}",
                f"{index.total:.3f} ± {index.total_confidence:.3f}",
            )
        terminal.print(table)


def _shown(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
