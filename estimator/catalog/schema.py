"""The JSON Schema of each kind of file, from the spec that reads it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from estimator.catalog import building, kinds
from estimator.catalog.features import WITH
from estimator.specs.base import SPECS

_MARKUP = r"(:\w+:)?`+~?"
"""Backticks of reStructuredText, with the role before them."""
REFERENCE = "a built-in name, a path, or the mapping itself"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind's file, from the spec that reads it."""
    made: dict[str, Any] = building.adapter(kind).json_schema()
    made["title"] = f"estimator {kind}"
    definitions = made.get("$defs", {})
    for name, holder in (
        (kinds.KINDS[kind].spec.__name__, made),
        *definitions.items(),
    ):
        _describe(holder, SPECS.get(name))
    for path in kinds.KINDS[kind].references:
        *parents, key = path.split(".")
        holder = made
        for parent in parents:
            holder = _resolved(holder["properties"][parent], definitions)
        if holder["properties"][key].get("description") != REFERENCE:  # told once
            holder["properties"][key] = {
                "anyOf": [{"type": "string"}, holder["properties"][key]],
                "description": REFERENCE,
            }
    made["properties"]["base"] = {
        "type": "string",
        "description": "start from this file",
    }
    required = set(made.get("required", ())) - {*kinds.DEFAULTS, "software"}
    made["required"] = sorted(required)
    if kind == "software":
        _lie_over_base(made, definitions)
    elif "Software" in definitions:
        _lie_over_base(definitions["Software"], definitions)
    return made


def _lie_over_base(software: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Let software state what differs from its base alone, and turn features on."""
    software["properties"] |= {
        "base": {"type": "string", "description": "the release that it lies over"},
        WITH: {
            "type": "array",
            "items": {"type": "string"},
            "description": "features to turn on, of those that it or its base offers",
        },
    }
    for holder in (software, *map(definitions.get, _groups(software))):
        if holder:
            holder["required"] = []


def _groups(software: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the parts that a software consists of."""
    for part in software["properties"].values():
        if "$ref" in part:
            yield part["$ref"].rsplit("/", 1)[-1]


def _field_docs(cls: type[Any]) -> dict[str, str]:
    """Return what the text below each field of a class says, in one line each.

    It is read from the source when somebody asks: pydantic does so for each class at
    each start, a tenth of a second.
    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    return {
        item.target.id: " ".join(re.sub(_MARKUP, "`", said.value.value).split())
        for item, said in pairwise(getattr(body, "body", ()))
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
        and isinstance(said.value.value, str)
    }


def _describe(holder: dict[str, Any], cls: type[Any] | None) -> None:
    """Tell what each field of a spec is, and then its unit if it is a constant."""
    for name, said in (_field_docs(cls) if cls else {}).items():
        known = holder["properties"][name]
        unit = known.get("description")
        known["description"] = f"{said} ({unit})" if unit else said


def _resolved(part: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that a property refers to, through ``anyOf``."""
    for option in (part, *part.get("anyOf", ())):
        if "$ref" in option:
            found: dict[str, Any] = definitions[option["$ref"].rsplit("/", 1)[-1]]
            return found
    return part
