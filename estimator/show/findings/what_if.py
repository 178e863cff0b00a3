"""What a number becomes as two inputs change: a map, or a line per value of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.ground.units import DAY_S
from estimator.ground.words import TIME, counted, number, relative, rung
from estimator.show.findings.base import Curve, Guide, Heat, Plot

if TYPE_CHECKING:
    import pandas as pd


class Measure(NamedTuple):
    """What is asked of every combination."""

    words: str
    unit: str
    one: float
    """What one unit stands for, in SI."""
    limit: str
    """What a value is called that is not to be exceeded."""
    is_best_high: bool = False

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{number(value, 4)} {self.unit}"

    def name(self, limit: float) -> str:
        """Return what the line of a limit is called."""
        return f"{self.limit}: {self.shown(limit)}"


MEASURES: dict[str, Measure] = {
    "cost_usd": Measure("cost", "million USD", 1e6, "budget"),
    "wall_s": Measure("wall time", "days", DAY_S, "deadline"),
    "gpu_hours": Measure("GPU-hours", "million GPU-hours", 1e6, "limit"),
    "mfu": Measure("MFU", "%", 0.01, "goal", is_best_high=True),
}
"""Column of a sweep -> how it is told."""


def fitted(own: Mapping[str, float]) -> dict[str, Measure]:
    """Return every measure in the unit that fits a scenario's own value.

    >>> fitted({"cost_usd": 76.7})["cost_usd"].unit
    'USD'
    """
    units = {
        "cost_usd": counted(own.get("cost_usd", 0.0), "USD"),
        "wall_s": rung(own.get("wall_s", 0.0), TIME),
        "gpu_hours": counted(own.get("gpu_hours", 0.0), "GPU-hours"),
    }
    return MEASURES | {
        name: MEASURES[name]._replace(unit=found.unit, one=found.one)
        for name, found in units.items()
    }


@dataclass(frozen=True)
class Input:
    """One input that is varied."""

    words: str
    """Its name, with the unit of its values."""
    steps: tuple[float, ...] | tuple[str, ...]
    """Its values, in order."""
    said: str = "{}"
    """A value in a sentence."""

    @property
    def names(self) -> tuple[str, ...]:
        """The values in words."""
        return tuple(map(_name, self.steps))

    @property
    def is_number(self) -> bool:
        """Whether the values have an order and distances."""
        return not any(isinstance(value, str) for value in self.steps)

    def place(self, index: int) -> str:
        """Return one value as a sentence has it."""
        return self.said.format(self.names[index])


class Answers(NamedTuple):
    """A sweep over two inputs; arrays of shape (values of y, values of x)."""

    x: Input
    y: Input
    columns: Mapping[str, NDArray[Any]]
    """The measures by column, ``fits``, ``reason`` and, from sweeps, ``adjusted``."""
    measures: Mapping[str, Measure] = MEASURES
    """How each is told."""

    def of(self, column: str) -> NDArray[np.float64]:
        """Return one measure in its unit, NaN where a combination does not work."""
        values = self.columns[column] / self.measures[column].one
        return np.where(self.columns["fits"], values, np.nan).astype(np.float64)

    def few(self, most: int) -> Answers:
        """Return the answers at no more than so many values of y, ends included."""
        kept = np.linspace(0, len(self.y.steps) - 1, most).round().astype(int)
        kept = np.unique(kept)
        y = replace(self.y, steps=tuple(self.y.steps[index] for index in kept))
        columns = {name: rows[kept] for name, rows in self.columns.items()}
        return self._replace(y=y, columns=columns)

    def frame(self) -> pd.DataFrame:
        """Return one row per combination."""
        import pandas as pd

        y, x = np.indices(self.columns["fits"].shape).reshape(2, -1)
        made: dict[str, Any] = {
            self.x.words: np.array(self.x.steps)[x],
            self.y.words: np.array(self.y.steps)[y],
        }
        for column, measure in self.measures.items():
            made[f"{measure.words}, {measure.unit}"] = self.of(column).ravel()
        made["why not"] = self.columns["reason"].ravel()
        if "adjusted" in self.columns:
            made["adjusted"] = self.columns["adjusted"].ravel()
        return pd.DataFrame(made)


def what_if(answers: Answers, column: str, limit: float | None = None) -> Heat:
    """Show one measure at every combination, with a line where it meets a limit.

    Parameters
    ----------
    limit : float, optional
        A budget or a deadline, in the measure's unit.
    """
    measure, values = answers.measures[column], answers.of(column)
    return Heat(
        _best(answers, measure, values),
        answers.x.words,
        answers.y.words,
        f"{measure.words}, {measure.unit}",
        answers.x.names,
        answers.y.names,
        tuple(
            tuple(None if np.isnan(value) else float(value) for value in row)
            for row in values
        ),
        tuple(tuple(map(str, row)) for row in answers.columns["reason"]),
        None if limit is None else (measure.name(limit), limit),
    )


def lines(answers: Answers, column: str, limit: float | None = None) -> Plot:
    """Show one measure along x, a line for each value of y."""
    measure, values = answers.measures[column], answers.of(column)
    along = [float(value) for value in answers.x.steps]
    curves = []
    for place, (name, row) in enumerate(zip(answers.y.names, values, strict=True)):
        works = ~np.isnan(row)
        if works.any():
            x = tuple(np.array(along)[works].tolist())
            curves.append(Curve(name, x, tuple(row[works].tolist()), (), place, True))
    ends = (min(along), max(along))
    guides: tuple[Guide, ...] = ()
    if limit is not None:
        guides = (Guide(measure.name(limit), ends, (limit, limit), is_limit=True),)
    return Plot(
        _difference(answers, measure, values),
        answers.x.words,
        f"{measure.words}, {measure.unit}",
        tuple(curves),
        guides,
    )


def _best(answers: Answers, measure: Measure, values: NDArray[np.float64]) -> str:
    """Say where the measure is least and where it is most."""
    missing = int(np.isnan(values).sum())
    if missing == values.size:
        return f"None of {values.size:,} combinations works"
    told = []
    for word, find in (("least", np.nanargmin), ("most", np.nanargmax)):
        y, x = np.unravel_index(int(find(values)), values.shape)
        told.append(
            f"{word} {measure.shown(float(values[y, x]))} with "
            f"{answers.x.place(int(x))} and {answers.y.place(int(y))}"
        )
    best = told[::-1] if measure.is_best_high else told
    if missing:
        best.append(f"{missing:,} of {values.size:,} do not work")
    return f"{measure.words[0].upper()}{measure.words[1:]}: {'; '.join(best)}"


def _difference(answers: Answers, measure: Measure, values: NDArray[np.float64]) -> str:
    """Say how far the second line lies from the first, at both ends of both."""
    common = np.flatnonzero(~np.isnan(values[:2]).any(axis=0))
    if len(values) < 2 or not common.size:
        return _best(answers, measure, values)
    first, second = answers.y.names[:2]
    ends = dict.fromkeys((int(common[0]), int(common[-1])))
    told = ", ".join(
        f"{relative(values[1, at] / values[0, at] - 1)} with {answers.x.place(at)}"
        for at in ends
    )
    return f"{second} against {first}, {measure.words}: {told}"


def _name(value: float | str) -> str:
    """Return a value in words.

    >>> _name(2048), _name(37.5), _name(12345678), _name("1f1b")
    ('2,048', '37.5', '12,345,678', '1f1b')
    """
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
