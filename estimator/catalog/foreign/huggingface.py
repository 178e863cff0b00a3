"""A Hugging Face ``config.json`` to a model file.

:mod:`estimator.catalog.foreign.families` is the table of what is known, one entry a
``model_type``; :mod:`estimator.catalog.foreign.config` reads values and collects
mistakes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml

from estimator.catalog import building
from estimator.catalog.foreign.config import Config
from estimator.catalog.foreign.families import FAMILIES, Family
from estimator.ground.documents import marked
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.specs.model import Transformer

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.]+")


def import_config(text: str, origin: str = "config.json") -> Transformer:
    """Return the architecture that a ``config.json`` describes.

    Parameters
    ----------
    text : str
        The file's content.
    origin : str
        What messages call it.

    Raises
    ------
    InputError
        If it is not JSON, of a family that is not known, or lacks a dimension.
    """
    return _built(_described(text, origin), origin)


def model_yaml(text: str, origin: str = "config.json") -> str:
    """Return the model file, as YAML, for a ``config.json``; see `import_config`."""
    document = _described(text, origin)
    _built(document, origin)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=88)


def _built(document: Mapping[str, Any], origin: str) -> Transformer:
    made: Transformer = building.build("model", marked(document, origin), origin)
    return made


def _described(text: str, origin: str) -> dict[str, Any]:
    """Return the model file's fields for a ``config.json``."""
    outer = _mapping(text, origin)
    inner = outer.get("text_config")
    values = inner if isinstance(inner, dict) else outer
    kind, family = _family(values, outer, origin)
    config = Config(values)
    fields = _nested(family, config)
    if config.mistakes:
        raise InputError(
            f"{origin} does not describe a {kind} model",
            where=[f"{origin}: {mistake}" for mistake in config.mistakes],
        )
    return _title(outer, kind, origin) | fields


def _mapping(text: str, origin: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=partial(_once, origin))
    except json.JSONDecodeError as error:
        end = text.rstrip()
        is_cut = not end.endswith("}") or error.pos >= len(end)
        raise InputError(
            f"{origin} is not JSON",
            where=[f"{origin}:{error.lineno}:{error.colno}: {error.msg}"],
            why="it ends before its last brace: the file was cut off" if is_cut else "",
        ) from None
    except InputError:
        raise
    except (RecursionError, ValueError):  # or a number of thousands of digits
        raise InputError(f"{origin} is out of proportion") from None
    if not isinstance(values, dict):
        raise InputError(
            f"{origin} holds no JSON object", fix='{"model_type": "llama"}'
        )
    return values


def _once(origin: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON whose keys stand there once."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise InputError(f"{origin} gives {key[:60]!r} twice")
        made[key] = value
    return made


def _family(
    values: Mapping[str, Any], outer: Mapping[str, Any], origin: str
) -> tuple[str, Family]:
    """Return the name and the table entry of a configuration's family."""
    kind = values.get("model_type", outer.get("model_type"))
    known = sorted(FAMILIES)
    if not isinstance(kind, str):
        raise InputError(
            f"{origin} has no model_type", why=f"known: {', '.join(known)}"
        )
    if kind not in FAMILIES:
        raise InputError(
            f"{origin} has the model_type {kind[:60]!r}, which is not known here",
            why=f"known: {', '.join(known)}",
            fix=suggestion(kind, known)
            or "write a model file by hand; `estimator schema model` lists its fields",
        )
    return kind, FAMILIES[kind]


def _nested(family: Family, config: Config) -> dict[str, Any]:
    """Return the family's fields, dotted paths as mappings, what is absent left out."""
    made: dict[str, Any] = {}
    for path, entry in family.items():
        value = entry(config) if callable(entry) else entry
        if value is None:
            continue
        holder = made
        *parents, key = path.split(".")
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[key] = value
    return made


def _title(outer: Mapping[str, Any], kind: str, origin: str) -> dict[str, Any]:
    path = outer.get("_name_or_path")
    repository = path.strip("/") if isinstance(path, str) else ""
    title, file = repository.rsplit("/", 1)[-1], origin.rsplit("/", 1)[-1]
    title = title or f"imported {kind}"
    return {
        "name": _NOT_IN_NAMES.sub("-", title.lower()).strip("-.") or "imported",
        "title": title,
        "source": f"config.json of {repository}" if repository else f"the file {file}",
    }
