"""A resolved scenario as a file: what differs from built-in files, with units.

What `catalog` reads, this writes: a scenario that was patched, put together on a page
or imported becomes a file that gives the same scenario again, anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args

import yaml

from estimator.catalog import building, kinds, loading, reading
from estimator.catalog.published import as_written
from estimator.catalog.stated import SOFTWARE, stated
from estimator.ground.documents import parse_document, scalar
from estimator.ground.errors import InputError
from estimator.ground.units import Unit, parse_quantity
from estimator.specs.base import Constant, ConstantOf
from estimator.specs.hints import field_hints, inner, metadata
from estimator.specs.scenario import Assumed, Scenario, Setting
from estimator.specs.training import GlobalBatch

PREFIXES = {"P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "": 1.0, "m": 1e-3, "u": 1e-6}
APART = ("variants", "published_on")
"""Parts that are applied where they were asked for, or written where needed."""
WHOLE = ("precision",)
"""Parts that a file may write as one word, over which nothing can be merged."""


def scenario_yaml(scenario: Scenario, base: str = "") -> str:
    """Return the file of a scenario.

    Parameters
    ----------
    base : str
        A built-in scenario of which only the differences are written; empty for none.
    """
    scenario = as_written(scenario)
    made = plain(scenario, Scenario)
    for name in APART:
        made.pop(name, None)
    kept = dict(kinds.KINDS["scenario"].references)
    if base:
        below = plain(loading.load_scenario(base), Scenario)
        for name in APART:
            below.pop(name, None)
        made = _whole({"base": base, **_different(made, below, "", kept)}, scenario)
    else:
        made = _referring(made | _published_on(scenario), "", kept)
    return _dumped(made)


def _dumped(made: dict[str, Any]) -> str:
    return yaml.dump(
        made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88
    )


def _whole(made: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """Return a file over a base with what it would not keep of it, or not let go of."""
    if not scenario.question:
        made.pop("question", None)
    own_part = parse_document(_dumped(made), "")
    again = reading.derived(loading.unpatched(own_part.pop("base")), own_part)
    read: Scenario = building.build("scenario", again, "the file")
    own, kept = plain(scenario, Scenario), dict(kinds.KINDS["scenario"].references)
    for name in ("question", "assumptions", "price", "phases"):
        if getattr(read, name) != getattr(scenario, name):
            is_named = name in kept
            made[name] = _reference(own[name], name, kept) if is_named else own[name]
    if as_written(read).published_on != scenario.published_on or "phases" in made:
        given = _published_on(scenario) or {"published_on": None}
        made |= _referring(given, "", kept)
    return made


def _published_on(scenario: Scenario) -> dict[str, Any]:
    """Return what a file says of what phases were spent on; nothing where it is it."""
    if scenario.published_on is None:
        return {}
    return {"published_on": plain(scenario.published_on, Setting)}


def plain(value: Any, hint: Any) -> Any:
    """Return what a file says of a value: mappings, lists, and numbers with units."""
    if isinstance(value, GlobalBatch):
        return _batch(value)
    if isinstance(value, Assumed) and not value.about:
        return value.text
    if isinstance(value, Constant):
        si = next(item.si for item in metadata(hint) if isinstance(item, ConstantOf))
        return {
            "value": _constant(value.value, si),
            "low": _constant(value.low, si),
            "high": _constant(value.high, si),
            "source": value.source,
            "status": value.status,
        }
    if isinstance(value, float) and value is not None:
        unit = next((item for item in metadata(hint) if isinstance(item, Unit)), None)
        return _quantity(value, unit.si) if unit else value
    if is_dataclass(value) and not isinstance(value, type):
        hints = field_hints(type(value))
        return {
            item.name: plain(getattr(value, item.name), hints[item.name])
            for item in fields(value)
            if getattr(value, item.name) is not None
        }
    if isinstance(value, Mapping):
        below = (get_args(inner(hint)) or (Any,))[-1]
        return {str(key): plain(item, below) for key, item in value.items()}
    if isinstance(value, list | tuple):
        below = (get_args(inner(hint)) or (Any,))[0]
        return [plain(item, below) for item in value]
    return value


def _constant(number: float, si: str) -> object:
    return number if si == "1" else _quantity(number, si)


@cache
def _quantity(number: float, si: str) -> str:
    """Return a number with its unit, in a prefix that keeps it exactly.

    >>> _quantity(25e9, "B/s"), _quantity(4.0, "USD/h")
    ('25 GB/s', '4 USD/h')
    """
    for prefix, factor in PREFIXES.items():
        text = f"{number / factor:.15g} {prefix}{si}"
        try:
            is_exact = parse_quantity(text, si) == number
        except ValueError:  # the unit has no such prefix
            continue
        if is_exact and abs(number) >= factor:
            return text
    return f"{number!r} {si}"


def _batch(batch: GlobalBatch) -> object:
    if not batch.ramp_tokens and batch.initial == batch.final:
        return batch.final
    return {
        "ramp": {
            "from": batch.initial,
            "to": batch.final,
            "over_tokens": batch.ramp_tokens,
        }
    }


class _GoneError(Exception):
    """A key of the base is missing, which no difference can say."""


def _different(
    own: Mapping[str, Any], base: Mapping[str, Any], path: str, kinds: dict[str, str]
) -> dict[str, Any]:
    """Return what a mapping changes in another one; names stand for built-in files."""
    if set(base) - set(own):
        raise _GoneError
    made = {}
    for key, value in own.items():
        here, old = f"{path}.{key}" if path else key, base.get(key)
        if value == old:
            continue
        if here in kinds:
            made[key] = _reference(value, here, kinds)
        elif isinstance(value, dict) and isinstance(old, dict) and key not in WHOLE:
            made[key] = _different(value, old, here, kinds)
        else:
            made[key] = value
    return made


def _referring(value: Any, path: str, kinds: dict[str, str]) -> Any:
    """Return a mapping in which names stand for built-in files."""
    if not isinstance(value, dict):
        return value
    return {
        key: _reference(item, here, kinds)
        if (here := f"{path}.{key}" if path else key) in kinds
        else _referring(item, here, kinds)
        for key, item in value.items()
    }


def _reference(value: dict[str, Any], path: str, kinds: dict[str, str]) -> Any:
    """Return a built-in file's name, with what differs from it, or the whole."""
    kind, name = kinds[path], value.get("name")
    if kind == SOFTWARE:
        return stated(value)
    below = _built_in(kind, name) if isinstance(name, str) else None
    if below is None:
        return _referring(value, path, kinds)
    try:
        changed = _different(value, below, path, kinds)
    except _GoneError:
        return _referring(value, path, kinds)
    return {"base": name, **changed} if changed else name


def _built_in(kind: str, name: str) -> dict[str, Any] | None:
    if name not in kinds.names(kind):
        return None
    try:
        made: dict[str, Any] = plain(loading.load(kind, name), kinds.KINDS[kind].spec)
    except InputError:
        return None
    return made


class _Dumper(yaml.SafeDumper):
    """Quotes what a reader would take for a number, and repeats no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if scalar(text) != text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
