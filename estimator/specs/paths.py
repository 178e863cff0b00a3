"""What stands at a dotted path of a scenario: whether it exists, and its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin

from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.ground.units import Unit
from estimator.specs.base import Constant, ConstantOf
from estimator.specs.hints import field_hints, inner, metadata
from estimator.specs.scenario import Scenario

RATE_ROOTS = ("cluster", "price", "power", "programme")
BARE_RATES = ("cluster.fabric.oversubscription",)
"""Pure numbers without the annotation of a unit."""
HELD = ("cluster.node.gpu.context_bytes", "cluster.node.collectives.buffer_bytes")
"""Bytes that a GPU holds whatever it computes: memory follows from them."""


def hint_at(path: str, document: Any) -> Any:
    """Return the type hint of a dotted path; ``document`` is a resolved scenario.

    Raises
    ------
    InputError
        If there is no such path, with the names that there are.
    """
    return _hint_below(Scenario, path.split("."), document)


def field_near(spec: type[Any], keys: Sequence[str], document: Any) -> str:
    """Return the field that a wrong one may stand for, among those of its holder.

    Empty if none is alike.
    """
    try:
        holder = _hint_below(spec, keys[:-1], document)
    except InputError:
        return ""
    kind = inner(holder)
    is_spec = isinstance(kind, type) and is_dataclass(kind)
    known = field_hints(kind) if is_spec else {}
    return suggestion(keys[-1], sorted(known))


def _hint_below(spec: type[Any], keys: Sequence[str], document: Any) -> Any:
    hint: Any = spec
    here: Any = document
    path = ".".join(keys)
    for depth, key in enumerate(keys):
        child = here.get(key) if isinstance(here, Mapping) else None
        if (
            isinstance(here, list)
            and key.isdecimal()
            and len(key) < 9
            and int(key) < len(here)
        ):
            child = here[int(key)]
        known = _children(hint, here)
        if key not in known and child is None:
            above = ".".join(keys[:depth]) or "a scenario"
            raise InputError(
                f"there is no path {path!r}",
                why=f"{above} has: {', '.join(sorted(known)) or 'no parts'}",
                fix=suggestion(key, sorted(known)),
            )
        hint = known.get(key, Any)
        here = child
    return hint


def is_rate(path: str, hint: Any) -> bool:
    """Whether a path holds a rate or a price, on which no structure depends.

    Nor does memory, which is counted once for all rates.
    """
    if path in BARE_RATES:
        return True
    if path.removesuffix(".value") in HELD:
        return False
    if path.split(".")[0] not in RATE_ROOTS:
        return False
    return any(isinstance(item, Unit | ConstantOf) for item in metadata(hint))


def is_whole(hint: Any) -> bool:
    """Whether a field takes whole numbers."""
    return inner(hint) is int


def _children(hint: Any, here: Any) -> dict[str, Any]:
    """Return the parts of a hint: fields, or the keys and items that are there."""
    kind = inner(hint)
    if kind is Constant:
        return dict.fromkeys(("value", "low", "high"), hint)
    if is_dataclass(kind) and isinstance(kind, type):
        return field_hints(kind)
    arguments = get_args(kind)
    if get_origin(kind) is tuple and isinstance(here, list):
        return {str(index): arguments[0] for index in range(len(here))}
    if arguments and isinstance(here, Mapping):
        return dict.fromkeys(here, arguments[-1])
    return {}
