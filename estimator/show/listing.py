"""What is built in: rows for lists, whole records, and the schemas of input files."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from estimator.catalog import loading
from estimator.costs.collectives import collective
from estimator.costs.export_control import control
from estimator.costs.params import params
from estimator.ground.errors import InputError
from estimator.ground.registry import Registry, suggestion
from estimator.schedules.ir import schedule
from estimator.show.findings.base import finding
from estimator.specs.base import SPECS
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.model import Transformer

PLUG_INS: Mapping[str, Registry[Any]] = {
    "schedule": schedule,
    "collective": collective,
    "chart": finding,
}
"""Kinds that are functions of the package, not files."""
_MARKUP = r"(:\w+:)?`+~?"
"""Backticks of reStructuredText, with the role before them."""


def kinds() -> list[str]:
    """Return everything that can be listed."""
    return [*loading.KINDS, *PLUG_INS]


def _check(kind: str) -> None:
    if kind not in kinds():
        raise InputError(
            f"there is no kind called {kind[:60]!r}",
            why=f"known: {', '.join(kinds())}",
            fix=suggestion(kind, kinds()),
        )


def rows(kind: str) -> list[dict[str, Any]]:
    """Return one row for each built-in thing of a kind.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    _check(kind)
    if kind in PLUG_INS:
        known = PLUG_INS[kind]
        return [
            {"name": name, "summary": (known[name].__doc__ or "").split("\n")[0]}
            for name in known
        ]
    return [_row(kind, name) for name in loading.names(kind)]


def _row(kind: str, name: str) -> dict[str, Any]:
    record = loading.load(kind, name)
    if isinstance(record, Transformer):
        count = params(record)
        return {
            "name": name,
            "title": record.title,
            "num_params": count.total,
            "num_active_params": count.active,
            "source": record.source,
        }
    if isinstance(record, Gpu):
        return _gpu_row(record)
    if kind == "scenario":
        return {
            "name": name,
            "question": record.question,
            "variants": sorted(record.variants),
        }
    plain = to_plain(record)
    assert isinstance(plain, dict)  # noqa: S101 - a spec is a mapping
    if isinstance(record, Node):
        plain |= {"gpu": record.gpu.name, "scaleup_domain": record.scaleup_gpus}
    if not isinstance(record, Node | Fabric):
        return plain
    return (
        {"name": name}
        | {key: value for key, value in plain.items() if not isinstance(value, dict)}
        | {"sources": plain["sources"], "status": plain["status"]}
    )


def _gpu_row(gpu: Gpu) -> dict[str, Any]:
    """Return a GPU's specification and what export rules say of it."""
    ruled = control(gpu)
    return {
        "name": gpu.name,
        "title": gpu.title,
        "hbm_bytes": gpu.hbm_bytes,
        "hbm_bytes_per_s": gpu.hbm_bytes_per_s,
        "peak_flop_per_s": dict(gpu.peak_flop_per_s),
        "scaleup_io_bytes_per_s": gpu.scaleup_io_bytes_per_s,
        "tdp_watts": gpu.tdp_watts,
        "num_sms": gpu.num_sms,
        "tpp": ruled.tpp or None,  # no peak is known
        "performance_density": ruled.density,
        "october_2022": ruled.october_2022,
        "october_2023": ruled.october_2023,
        "sources": dict(gpu.sources),
        "recalled": list(gpu.recalled),
        "status": dict(gpu.status),
    }


def show(kind: str, name: str) -> dict[str, Any]:
    """Return one record in full, with sources."""
    _check(kind)
    if kind in PLUG_INS:
        return {"name": name, "description": PLUG_INS[kind][name].__doc__ or ""}
    record = (
        loading.load_scenario(name) if kind == "scenario" else loading.load(kind, name)
    )
    plain = to_plain(record)
    assert isinstance(plain, dict)  # noqa: S101 - a spec is a mapping
    if isinstance(record, Transformer):
        count = params(record)
        plain |= {
            "num_params": count.total,
            "num_active_params": count.active,
            "num_mtp_params": count.mtp,
        }
    if isinstance(record, Gpu):
        plain["export_control"] = to_plain(control(record))
    return plain


def to_plain(value: Any) -> Any:
    """Return a spec as plain mappings, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: to_plain(getattr(value, item.name)) for item in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


REFERENCE = "a built-in name, a path, or the mapping itself"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind's file, from the spec that reads it."""
    _check(kind)
    if kind in PLUG_INS:
        raise InputError(f"a {kind} is a function here, and has no JSON Schema")
    made: dict[str, Any] = loading.adapter(kind).json_schema()
    made["title"] = f"estimator {kind}"
    definitions = made.get("$defs", {})
    for name, holder in (
        (loading.KINDS[kind].spec.__name__, made),
        *definitions.items(),
    ):
        _describe(holder, SPECS.get(name))
    for path in loading.KINDS[kind].references:
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
    required = set(made.get("required", ())) - set(loading.DEFAULTS)
    made["required"] = sorted(required)
    return made


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
