"""What the type hints of a spec's fields say: the type, its annotations."""

from __future__ import annotations

import types
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def metadata(hint: Any) -> tuple[Any, ...]:
    """Return the annotations of a hint, those of an optional one included."""
    if get_origin(hint) is Annotated:
        return (*get_args(hint)[1:], *metadata(get_args(hint)[0]))
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(item for part in get_args(hint) for item in metadata(part))
    return ()


def inner(hint: Any) -> Any:
    """Return the type inside annotations and options."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return inner(parts[0])
    return hint


@cache
def field_hints(spec: type[Any]) -> dict[str, Any]:
    """Return the hints of a spec's fields, annotations included."""
    hints = get_type_hints(spec, include_extras=True)
    return {item.name: hints[item.name] for item in fields(spec)}
