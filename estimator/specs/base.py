"""How every spec is declared, and the sourced constant they carry."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from estimator.ground.units import BareNumber, Unit, shown

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

T = TypeVar("T")

SET_BY_USER = "set by the user"
"""The source of a number that replaces its file's."""

SPECS: dict[str, type[Any]] = {}
"""Every spec by the name of its class."""


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(field,)
)
def spec(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, keyword-only dataclass that refuses unknown fields."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = {  # type: ignore[attr-defined]
        "extra": "forbid",
        "allow_inf_nan": False,
    }
    SPECS[made.__name__] = made
    return made


def _line(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise ValueError(f"write a text of one line, not {shown(text)}")
    return text


Line = Annotated[str, AfterValidator(_line)]
"""A name or a title."""
Count = Annotated[int, Field(gt=0, le=10**8)]
"""GPUs, ranks, experts: things that stand side by side."""
CountOrNone = Annotated[int, Field(ge=0, le=10**9)]
Depth = Annotated[int, Field(gt=0, le=4096)]
"""Layers, stages and ranks of a pipeline, each of which is looked at one by one."""
FewOrNone = Annotated[int, Field(ge=0, le=64)]
"""Things of which one layer or one model has a handful."""
Width = Annotated[int, Field(gt=0, le=10**7)]
"""Of a layer or a part of it, in elements."""
WidthOrNone = Annotated[int, Field(ge=0, le=10**7)]
Rows = Annotated[int, Field(gt=0, le=10**8)]
"""Of a vocabulary."""
RowsOrNone = Annotated[int, Field(ge=0, le=10**8)]
Length = Annotated[int, Field(gt=0, le=10**8)]
"""Of a sequence, in tokens."""
Sequences = Annotated[int, Field(gt=0, le=10**9)]
"""Of one step."""
Tokens = Annotated[float, Field(ge=1, le=1e18)]
"""Of a phase."""
GpuHours = Annotated[float, Field(gt=1e-6, le=1e12)]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A measured or assumed number: value, range, unit and where it comes from."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    status: str = "read"
    """``read`` in the source named, ``derived`` from it, ``recalled``, ``assumed``, or
    ``set`` by the user."""


@dataclass(frozen=True)
class ConstantOf:
    """Annotation of a :class:`Constant` field: its unit, parsed like any quantity."""

    si: str
    is_positive: bool = False
    least: float | None = None
    most: float | None = None
    noun: str = ""

    @property
    def unit(self) -> Unit:
        """The unit of its numbers, and their bounds."""
        return Unit(self.si, self.is_positive, self.least, self.most, self.noun)

    def __call__(self, value: object) -> Constant:
        """Return the constant that a file, a patch or Python code describes."""
        if isinstance(value, Constant):
            return value
        if isinstance(value, Mapping) and set(value) == {"value"}:
            value = value["value"]  # set below a field that its file leaves out
        if not isinstance(value, Mapping):
            if isinstance(value, BareNumber) or (
                self.si != "1" and isinstance(value, str)
            ):
                number = self._number(value)
                return Constant(
                    value=number,
                    low=number,
                    high=number,
                    unit=self.si,
                    source=SET_BY_USER,
                    status="set",
                )
            raise ValueError(
                f"write a mapping with value, low, high and source, not {shown(value)}"
            )
        unknown = set(value) - {"value", "low", "high", "source", "status"}
        missing = {"value", "low", "high", "source"} - set(value)
        if unknown or missing:
            raise ValueError(
                f"a constant has value, low, high and source; "
                f"missing: {sorted(missing)}, unknown: {sorted(map(str, unknown))}"
            )
        number, low, high = (
            self._number(value[key]) for key in ("value", "low", "high")
        )
        if isinstance(value["value"], BareNumber):
            low, high = min(low, number), max(high, number)
        if not low <= number <= high:
            raise ValueError(
                f"low <= value <= high does not hold: {low}, {number}, {high}"
            )
        return Constant(
            value=number,
            low=low,
            high=high,
            unit=self.si,
            source=str(value["source"]),
            status=str(value.get("status", "read")),
        )

    def _number(self, value: object) -> float:
        if self.si == "1" and isinstance(value, int | float):
            value = BareNumber(value)
        return self.unit.parse(value)

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number = {"type": "number" if self.si == "1" else "string"}
        return {
            "type": "object",
            "description": f"a sourced constant in {self.si}",
            "properties": {
                "value": number,
                "low": number,
                "high": number,
                "source": {"type": "string"},
                "status": {"enum": ["read", "derived", "recalled", "assumed"]},
            },
            "required": ["value", "low", "high", "source"],
            "additionalProperties": False,
        }


IS_REFERENCE = "is_reference"
"""Metadata of a field that answers are told against: its constants are not asked."""


def constants(record: Any, path: str = "") -> Iterator[tuple[str, Constant]]:
    """Yield every constant inside a spec with its dotted path."""
    if isinstance(record, Constant):
        yield path, record
        return
    if isinstance(record, Mapping):
        items = [(str(key), value) for key, value in record.items()]
    elif is_dataclass(record):
        items = [
            (item.name, getattr(record, item.name))
            for item in fields(record)
            if not item.metadata.get(IS_REFERENCE)
        ]
    else:
        return
    for key, value in items:
        yield from constants(value, f"{path}.{key}" if path else key)


def with_value(record: Any, path: str, value: float) -> Any:
    """Return a copy of a spec whose constant at a dotted path has another value."""
    if not path:
        return replace(record, value=value)
    key, _, rest = path.partition(".")
    if isinstance(record, Mapping):
        return {**record, key: with_value(record[key], rest, value)}
    return replace(record, **{key: with_value(getattr(record, key), rest, value)})


def with_lanes(record: Any, path: str, value: Any) -> Any:
    """Return a copy of a spec whose rate at a dotted path is another number, or lanes.

    The number is not checked again.
    """
    return _with(record, path.split("."), value)


def unchecked(record: Any, **changes: Any) -> Any:
    """Return a copy of a spec with other fields, as ``replace`` does, not checked."""
    made = copy.copy(record)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def _with(record: Any, keys: Sequence[str], value: Any) -> Any:
    key, rest = keys[0], keys[1:]
    is_mapping = isinstance(record, Mapping)
    old = record[key] if is_mapping else getattr(record, key)
    if rest:
        value = _with(old, rest, value)
    elif isinstance(old, Constant):
        value = replace(
            old, value=value, low=value, high=value, source=SET_BY_USER, status="set"
        )
    if is_mapping:
        return {**record, key: value}
    return unchecked(record, **{key: value})


def status_of(record: Any, key: str) -> str:
    """Return how the number at a (dotted) key of a spec is known.

    ``recalled`` where the file lists it among its recalled fields, what its ``status``
    says of it or of what holds it (``derived``, ``assumed``, ``disputed``), else
    ``read``.
    """
    holders = [key]
    while "." in holders[-1]:
        holders.append(holders[-1].rpartition(".")[0])
    for holder in holders:
        if holder in getattr(record, "recalled", ()):
            return "recalled"
        if found := getattr(record, "status", {}).get(holder):
            return str(found)
    return "read"


def source_of(record: Any, key: str) -> str:
    """Return where the number at a (dotted) key of a spec comes from."""
    sources: Mapping[str, str] = record.sources
    parts = key.split(".")
    holders = (".".join(parts[:size]) for size in range(len(parts) - 1, 0, -1))
    names = [key, parts[-1], *holders, "default"]
    return next((sources[name] for name in names if name in sources), "")


Fraction = Annotated[Constant, ConstantOf("1", most=1.0, noun="a share")]
"""A share of another whole, or none of it."""
Share = Annotated[Constant, ConstantOf("1", is_positive=True, most=1.0, noun="a share")]
"""A share of a peak: something must be left of a rate."""
PureNumber = Annotated[Constant, ConstantOf("1")]
"""A ratio, a length or a number of things, which may exceed 1."""
Duration = Annotated[Constant, ConstantOf("s")]
Size = Annotated[Constant, ConstantOf("B")]
Rate = Annotated[Constant, ConstantOf("B/s", is_positive=True)]
