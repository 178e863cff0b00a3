"""A record as lines: every number with its unit, range, source and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple, get_args

from estimator.ground.units import Unit
from estimator.ground.words import quantity
from estimator.specs.base import Constant, source_of, status_of
from estimator.specs.hints import field_hints, metadata

NOT_HELD = frozenset(
    {"name", "title", "sources", "source", "recalled", "status"}
    | {"electricity_source", "electricity_status", "framework", "release"}
)
"""Fields that say what a record is and how it is known, not what it holds."""
APART = {"usd_per_kwh": "electricity", "electricity_date": "electricity"}
"""Fields of a record with one source whose own source stands beside them."""


class Field(NamedTuple):
    """One number or word of a record."""

    path: str
    value: str
    range: str
    source: str
    status: str


class _Owner(NamedTuple):
    """The record whose sources cover what stands below a path."""

    record: Any
    path: str

    def origin(self, path: str) -> tuple[str, str]:
        """Return the source and the status of what stands at a path."""
        record, key = self.record, path.removeprefix(self.path).removeprefix(".")
        if isinstance(getattr(record, "sources", None), Mapping):
            return source_of(record, key), status_of(record, key)
        prefix = f"{APART[key]}_" if key in APART else ""
        source = getattr(record, f"{prefix}source", "")
        return str(source), str(getattr(record, f"{prefix}status", "read"))


def fields_of(record: Any) -> list[Field]:
    """Return every field of a spec, those of records inside it behind a dotted path.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> {field.path: field.value for field in fields_of(load("gpu", "h800-sxm"))}[
    ...     "peak_flop_per_s.bf16"]
    '989 TFLOP/s'
    """
    return list(_lines(record, "", None, _Owner(record, "")))


def _lines(value: Any, path: str, hint: Any, owner: _Owner) -> Iterator[Field]:
    if isinstance(value, Constant):
        words = quantity(value.value, value.unit)
        yield Field(path, words, _ends(value), value.source, value.status)
    elif is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "sources") or hasattr(value, "source"):
            owner = _Owner(value, path)
        for name, inner_hint in field_hints(type(value)).items():
            if name not in NOT_HELD:
                inner = f"{path}.{name}".removeprefix(".")
                yield from _lines(getattr(value, name), inner, inner_hint, owner)
    elif isinstance(value, Mapping):
        inner_hint = (get_args(hint) or (None,))[-1]
        for key, inner_value in value.items():
            yield from _lines(inner_value, f"{path}.{key}", inner_hint, owner)
    elif value is not None and value not in ("", (), []):
        yield Field(path, _words(value, hint), "", *owner.origin(path))


def _words(value: Any, hint: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        units = [item.si for item in metadata(hint) if isinstance(item, Unit)]
        return quantity(value, (units or ["1"])[0])
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)


def _ends(constant: Constant) -> str:
    """Return the range of a constant; nothing where it has none."""
    if constant.low == constant.high:
        return ""
    ends = (constant.low, constant.high)
    return " to ".join(quantity(end, constant.unit) for end in ends)
