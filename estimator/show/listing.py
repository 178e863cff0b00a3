"""What is built in: rows for lists, whole records, schemas of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from estimator.catalog import loading
from estimator.catalog import schema as schemas
from estimator.catalog.kinds import KINDS, names
from estimator.costs.collectives import collective
from estimator.costs.export_control import control
from estimator.costs.params import params
from estimator.ground.documents import to_plain
from estimator.ground.errors import InputError
from estimator.ground.registry import Registry, suggestion
from estimator.schedules.programs import schedule
from estimator.show.findings.base import finding
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.model import Transformer
from estimator.specs.software import Software

PLUG_INS: Mapping[str, Registry[Any]] = {
    "schedule": schedule,
    "collective": collective,
    "chart": finding,
}
"""Kinds that are functions of the package, not files."""


def kinds() -> list[str]:
    """Return everything that can be listed."""
    return [*KINDS, *PLUG_INS]


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
    return [_row(kind, name) for name in names(kind)]


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
    if isinstance(record, Software):
        plain |= {"switches": record.num_known}
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


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind's file.

    Raises
    ------
    InputError
        If there is no such kind, or it is no file.
    """
    _check(kind)
    if kind in PLUG_INS:
        raise InputError(f"a {kind} is a function here, and has no JSON Schema")
    return schemas.schema(kind)
