"""The axes of a sweep: ``PATH=V1,V2`` or ``PATH=LO:HI:N``, checked before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from estimator import catalog
from estimator.batch import with_lanes
from estimator.documents import Map, Seq, parse_override
from estimator.errors import InputError
from estimator.lanes import Floats
from estimator.specs.base import Constant
from estimator.specs.paths import hint_at, is_rate, is_whole
from estimator.specs.scenario import Scenario
from estimator.units import BareNumber

MAX_POINTS = 20_000_000
EXAMPLE = "--vary cluster.fabric.bytes_per_s='25 GB/s:100 GB/s:16'"
_END = r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-zµ/][\w/µ]*)?\s*"
_RANGE = re.compile(rf"{_END}:{_END}:\s*(\d+)\s*\Z")


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

    def __len__(self) -> int:
        return len(self.shown)


def axes(vary: Sequence[str], document: Map, scenario: Scenario) -> list[Axis]:
    """Return the axes of ``--vary`` options, each value checked.

    Raises
    ------
    InputError
        If a path does not exist, a range is empty, a value is not what its field
        takes, or the points are too many.
    """
    written: list[tuple[str, str]] = []
    num_points = 1
    for text in vary:
        path, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise InputError(f"--vary {text!r} has no values", fix=EXAMPLE)
        for other, _ in written:
            if f"{other}.".startswith(f"{path}."):
                raise InputError(
                    f"--vary {path} comes behind {other} and would replace it",
                    fix="give the one that holds the other first, and each once",
                )
        num_points *= _count(path, values)
        written.append((path, values))
    if num_points > MAX_POINTS:  # before a value is read: that takes its time
        raise InputError(
            f"these axes make {num_points:,} points",
            why=f"a sweep has at most {MAX_POINTS:,}",
            fix="fewer values per axis",
        )
    return [_axis(path, values, document, scenario) for path, values in written]


def split(text: str) -> list[str]:
    """Return what stands between commas, brackets kept whole.

    >>> split("none, [layernorm, mlp],full")
    ['none', '[layernorm, mlp]', 'full']
    """
    return [part.strip() for part in re.split(r",(?![^\[{]*[\]}])", text)]


def _count(path: str, text: str) -> int:
    """Return how many values a text stands for, without making them."""
    match = _RANGE.match(text)
    count = int(match[5]) if match else len(split(text))
    if not count:
        raise InputError(f"--vary {path}={text} is an empty range", fix=EXAMPLE)
    return count


def _written(path: str, text: str, *, is_integer: bool) -> list[str]:
    """Return the values of a list or a range, each as text."""
    match = _RANGE.match(text)
    if not match:
        return split(text)
    low, low_unit, high, high_unit, count = match.groups()
    unit = low_unit or high_unit or ""
    if {low_unit, high_unit} - {None, unit}:
        raise InputError(
            f"--vary {path}: {low_unit} and {high_unit} in one range", fix=EXAMPLE
        )
    values = np.linspace(float(low), float(high), int(count))
    if is_integer:
        return [str(value) for value in dict.fromkeys(np.rint(values).astype(int))]
    return [f"{float(value)!r} {unit}".strip() for value in values]


def _axis(path: str, text: str, document: Map, scenario: Scenario) -> Axis:
    hint = hint_at(path, document)
    texts = _written(path, text, is_integer=is_whole(hint))
    values = [parse_override(f"{path}={value}", "--vary")[1] for value in texts]
    if is_rate(path, hint) and _is_there(path, scenario):
        rates = _rates(path, hint, values, scenario)
        return Axis(path, (), tuple(rates.tolist()), rates)
    referred = catalog.KINDS["scenario"].references.get(path)
    made = []
    for value in values:
        if referred and isinstance(value, str):
            value = catalog.resolved(path, value, "--vary")
        elif not referred:
            _check(path, hint, value)
        made.append(value)
    shown = tuple(_shown(value) for value in values)
    return Axis(path, tuple(made), shown)


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


def _rates(path: str, hint: Any, values: list[Any], scenario: Scenario) -> Floats:
    adapter = TypeAdapter(hint)
    key = path.rsplit(".", 1)[-1]
    if key in ("value", "low", "high"):
        raise InputError(
            f"--vary {path}: vary the constant as a whole",
            fix=f"--vary {path.rsplit('.', 1)[0]}=...",
        )
    made = []
    for value in values:
        try:
            checked = adapter.validate_python(value)
        except ValidationError:
            checked = _check(path, hint, value)
        made.append(checked.value if isinstance(checked, Constant) else checked)
    rates = np.array(made, dtype=np.float64)
    for extreme in {rates.min(), rates.max()}:
        _check_owner(path, with_lanes(scenario, path, float(extreme)))
    return rates


def _check_owner(path: str, scenario: Scenario) -> None:
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
