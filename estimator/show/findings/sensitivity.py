"""How far each sourced constant moves the step within its range."""

from __future__ import annotations

from collections.abc import Sequence

from estimator.answer.report import Assumption
from estimator.ground.words import quantity, relative
from estimator.show.findings.base import Answered, Bars, Series, finding
from estimator.show.wording import brief, weight

MOST = 12
"""Constants shown, from the one that matters most."""


def sensitivity(answer: Answered) -> Bars:
    """Show how far each constant moves the step within its range: a tornado."""
    rows = sorted(answer.report.assumptions, key=weight)
    rows = [row for row in rows if row.step_effect][-MOST:]
    return Bars(
        _finding(rows),
        "change of the step, %",
        "",
        tuple(brief(row.name) for row in rows),
        tuple(
            Series(
                f"constant at its {end} end",
                tuple(_effects(row)[index] * 100 for row in rows),
                tuple(quantity(_ends(row)[index], row.unit) for row in rows),
                (0.0,) * len(rows),
            )
            for index, end in enumerate(("low", "high"))
        ),
        is_horizontal=True,
        note="at each bar the constant's value there",
    )


finding("sensitivity")(sensitivity)


def _finding(rows: Sequence[Assumption]) -> str:
    if not rows:
        return "No constant has a range"
    low, high = map(relative, sorted(_effects(rows[-1])))
    return f"{brief(rows[-1].name)} moves the step most: {low} to {high}"


def _effects(row: Assumption) -> tuple[float, float]:
    low, high = row.step_effect or (1.0, 1.0)
    return low - 1, high - 1


def _ends(row: Assumption) -> tuple[float, float]:
    return row.low or 0.0, row.high or 0.0
