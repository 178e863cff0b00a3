"""The axes of a sweep, checked before any work.

``PATH=V1,V2`` are values, ``PATH=LO:HI:N`` evenly spaced ones, and ``PATH=LO:HI`` all
between two ends, for designs that draw their points.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from estimator.catalog import building, kinds, moved, reading
from estimator.catalog.features import WITH
from estimator.catalog.releases import SOFTWARE
from estimator.ground.documents import VARY, Map, Seq, parse_override
from estimator.ground.errors import InputError
from estimator.ground.lanes import Floats
from estimator.ground.units import BareNumber
from estimator.specs.base import Constant, with_lanes
from estimator.specs.paths import hint_at, is_rate, is_whole
from estimator.specs.scenario import Scenario

MAX_POINTS = 20_000_000
EXAMPLE = "--vary cluster.fabric.bytes_per_s='25 GB/s:100 GB/s:16'"
FEATURES = f"{SOFTWARE}.{WITH}"
"""Path that turns features on; nothing stands there afterwards."""
_END = r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?:([A-Za-zµ/][\w/µ]*)\s*)?"
_RANGE = re.compile(rf"{_END}:{_END}(?::\s*(\d+)\s*)?\Z")


@dataclass(frozen=True)
class Interval:
    """All numbers between two ends, in SI."""

    low: float
    high: float
    is_whole: bool


@dataclass(frozen=True)
class Axis:
    """One varied input."""

    path: str
    values: tuple[Any, ...]
    """As they are put into the scenario; empty for rates."""
    shown: tuple[Any, ...]
    """As a row tells them: numbers in SI, names, or text."""
    rates: Floats | None = None
    """Values of a rate or a price, in SI: points may share all else."""
    span: Interval | None = None
    """Where values are still to be drawn from, one for each point."""

    def __len__(self) -> int:
        return len(self.shown)


def axes(
    vary: Sequence[str], document: Map, scenario: Scenario, *, is_drawn: bool = False
) -> list[Axis]:
    """Return the axes of ``--vary`` options, each value checked.

    Parameters
    ----------
    is_drawn : bool
        Points are drawn from the axes: these may be spans, and as fine as they like.

    Raises
    ------
    InputError
        If a path does not exist, a range is empty, a value is not what its field
        takes, or the points are too many.
    """
    written: list[tuple[str, str]] = []
    counts = []
    for text in vary:
        path, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise InputError(f"--vary {text!r} has no values", fix=EXAMPLE)
        path = moved.today(path, VARY)
        for other, _ in written:
            if f"{other}.".startswith(f"{path}."):
                raise InputError(
                    f"--vary {path} comes behind {other} and would replace it",
                    fix="give the one that holds the other first, and each once",
                )
        counts.append(_count(path, values, is_drawn=is_drawn))
        written.append((path, values))
    most = max(counts, default=0) if is_drawn else prod(counts)
    if most > MAX_POINTS:  # before a value is read: that takes its time
        raise InputError(
            f"these axes make {most:,} points",
            why=f"a sweep has at most {MAX_POINTS:,}",
            fix="fewer values per axis",
        )
    return [_axis(path, values, document, scenario) for path, values in written]


def split(text: str) -> list[str]:
    """Return what stands between commas, brackets kept whole.

    >>> split("none, [layernorm, mlp],full")
    ['none', '[layernorm, mlp]', 'full']
    """
    parts, depth = [""], 0
    for piece in re.split(r"([,\[\]{}])", text):
        depth += (piece in "[{") - (piece in "]}") if piece else 0
        if piece == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]


def _count(path: str, text: str, *, is_drawn: bool) -> int:
    """Return how many values a text stands for, without making them."""
    match = _RANGE.match(text)
    if match and match[5] is None:
        if not is_drawn:
            raise InputError(
                f"--vary {path}={text} has no number of values",
                fix=f"--vary '{path}={text}:16', or --design lhs --samples 100",
            )
        return 1
    count = int(match[5]) if match else len(split(text))
    if not count:
        raise InputError(f"--vary {path}={text} is an empty range", fix=EXAMPLE)
    return count


def _axis(path: str, text: str, document: Map, scenario: Scenario) -> Axis:
    hint = tuple[str, ...] if path == FEATURES else hint_at(path, document)
    is_rated = is_rate(path, hint) and _is_there(path, scenario)
    if is_rated and path.rsplit(".", 1)[-1] in ("value", "low", "high"):
        raise InputError(
            f"--vary {path}: vary the constant as a whole",
            fix=f"--vary {path.rsplit('.', 1)[0]}=...",
        )
    match = _RANGE.match(text)
    if match:
        return _range(path, match, hint, scenario if is_rated else None)
    values = [parse_override(f"{path}={v}", "--vary")[1] for v in split(text)]
    if is_rated:
        rates = _numbers(path, hint, values)
        _check_owner(path, scenario, rates)
        return Axis(path, (), tuple(rates.tolist()), rates)
    referred = kinds.KINDS["scenario"].references.get(path)
    made = []
    for value in values:
        if referred and isinstance(value, str):
            value = reading.resolved(path, value, "--vary")
        elif not referred:
            _check(path, hint, value)
        if path == "plan.schedule" and isinstance(value, str):
            building.check_schedule(value, f"--vary {path}")
        made.append(value)
    return Axis(path, tuple(made), tuple(_shown(value) for value in values))


def _range(path: str, match: re.Match[str], hint: Any, rated: Scenario | None) -> Axis:
    """Return the axis of LO:HI:N or LO:HI; only the ends are read and checked."""
    low, low_unit, high, high_unit, count = match.groups()
    unit = low_unit or high_unit or ""
    if {low_unit, high_unit} - {None, unit}:
        raise InputError(
            f"--vary {path}: {low_unit} and {high_unit} in one range", fix=EXAMPLE
        )
    written = [f"{path}={end} {unit}".strip() for end in (low, high)]
    ends = _numbers(path, hint, [parse_override(v, "--vary")[1] for v in written])
    if rated:
        _check_owner(path, rated, ends)
    if count is None:
        if not ends[0] < ends[1]:
            raise InputError(f"--vary {match[0]} is an empty range", fix=EXAMPLE)
        span = Interval(float(ends[0]), float(ends[1]), is_whole(hint))
        return numbers(Axis(path, (), (), ends if rated else None, span), ends)
    values = np.linspace(ends[0], ends[1], int(count))
    if is_whole(hint):
        values = np.array(list(dict.fromkeys(np.rint(values).tolist())))
    return numbers(Axis(path, (), (), values if rated else None), values)


def numbers(axis: Axis, values: Floats) -> Axis:
    """Return an axis with other numbers, in SI."""
    bare = tuple(BareNumber(value) for value in values.tolist())
    if axis.rates is not None:
        return replace(axis, shown=tuple(values.tolist()), rates=values)
    return replace(axis, values=bare, shown=tuple(_shown(value) for value in bare))


def _is_there(path: str, scenario: Scenario) -> bool:
    """Whether the resolved scenario has a number at a path, not None."""
    here: Any = scenario
    for key in path.split("."):
        here = here.get(key) if isinstance(here, dict) else getattr(here, key, None)
    return here is not None


def _check(path: str, hint: Any, value: Any) -> Any:
    """Return what a field makes of a value, or say what is wrong with it."""
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        problem = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    raise InputError(f"--vary {path}={_shown(value)}: {problem}", fix=EXAMPLE)


def _numbers(path: str, hint: Any, values: Sequence[Any]) -> Floats:
    """Return what a field makes of values, in SI."""
    adapter = TypeAdapter(hint)
    made = []
    for value in values:
        try:
            checked = adapter.validate_python(value)
        except ValidationError:
            checked = _check(path, hint, value)
        made.append(checked.value if isinstance(checked, Constant) else checked)
    return np.array(made, dtype=np.float64)


def _check_owner(path: str, scenario: Scenario, rates: Floats) -> None:
    for extreme in {float(rates.min()), float(rates.max())}:
        _check_record(path, with_lanes(scenario, path, extreme))


def _check_record(path: str, scenario: Scenario) -> None:
    """Run the check that the record around a rate makes of its fields."""
    here: Any = scenario
    for key in path.split(".")[:-1]:
        here = here[key] if isinstance(here, dict) else getattr(here, key)
    check = getattr(here, "__post_init__", None)
    try:
        if check:
            check()
    except ValueError as error:
        raise InputError(f"--vary {path}: {error}") from None


def _shown(value: Any) -> Any:
    if isinstance(value, BareNumber):
        return int(value) if value.is_integer() else float(value)
    return json.dumps(value) if isinstance(value, Map | Seq) else value
