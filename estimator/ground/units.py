"""Units at the gate: ``"3.35 TB/s"`` in a file becomes a float in SI units.

Inside the package every quantity is a float whose unit stands in its name
(``hbm_bytes_per_s``). Bits and bytes, and GB and GiB, are told apart; a quantity
without a unit is refused in files, and taken as SI on the command line, where it
arrives as a :class:`BareNumber`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_DECIMAL = {
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_BIG = {k: v for k, v in _DECIMAL.items() if v >= 1}
_SMALL = {k: v for k, v in _DECIMAL.items() if v <= 1}

HOUR_S = 3600.0
DAY_S = 86400.0
YEAR_H = 8766.0
MONTH_H = YEAR_H / 12
KWH_JOULES = 3.6e6


def _table() -> dict[str, tuple[float, str]]:
    """Return unit -> (factor to SI, SI unit)."""
    units: dict[str, tuple[float, str]] = {}
    for prefix, factor in {**_BIG, **_BINARY}.items():
        units[f"{prefix}B"] = (factor, "B")
        units[f"{prefix}B/s"] = (factor, "B/s")
    for prefix, factor in _BIG.items():
        for bit in ("bit", "b"):
            units[f"{prefix}{bit}/s"] = (factor / 8, "B/s")
        units[f"{prefix}FLOP"] = (factor, "FLOP")
        units[f"{prefix}FLOP/s"] = (factor, "FLOP/s")
        units[f"{prefix}W"] = (factor, "W")
        units[f"{prefix}USD"] = (factor, "USD")
        units[f"{prefix}Hz"] = (factor, "Hz")
    for prefix, factor in _SMALL.items():
        units[f"{prefix}s"] = (factor, "s")
    units |= {
        "min": (60.0, "s"),
        "h": (HOUR_S, "s"),
        "d": (DAY_S, "s"),
        "USD/h": (1.0, "USD/h"),
        "USD/year": (1.0, "USD/year"),
        "USD/kW/month": (1.0, "USD/kW/month"),
        "USD/GB": (1.0, "USD/GB"),
        "USD/GB/month": (1.0, "USD/GB/month"),
        "USD/kWh": (1.0, "USD/kWh"),
        "g/kWh": (1.0, "g/kWh"),
        "mm2": (1.0, "mm2"),
        "1": (1.0, "1"),
    }
    return units


UNITS = _table()
MAX_LETTERS = 64
"""Of a number as it is written, unit included; what is longer is none."""
_QUANTITY = re.compile(
    r"\s*(?P<number>[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
    r"(?:\s*(?P<unit>[A-Za-zµ][\w/µ]*)|\s+(?P<one>1))\s*\Z"
)


class Domain(NamedTuple):
    """What numbers of a unit may be."""

    least: float
    """Of what is more than nothing: a rate, a size, a share of a peak."""
    most: float
    noun: str


DOMAINS: Mapping[str, Domain] = {
    "B": Domain(1.0, 1e18, "a size"),
    "B/s": Domain(1e3, 1e18, "a rate"),
    "FLOP": Domain(1.0, 1e30, "an amount of work"),
    "FLOP/s": Domain(1e6, 1e18, "a peak"),
    "W": Domain(1e-3, 1e9, "a power"),
    "USD": Domain(1e-6, 1e12, "a sum"),
    "Hz": Domain(1.0, 1e15, "a clock"),
    "s": Domain(1e-15, DAY_S, "a duration"),
    "USD/h": Domain(1e-6, 1e6, "the price of an hour"),
    "USD/year": Domain(1e-6, 1e9, "a pay"),
    "USD/kW/month": Domain(1e-6, 1e6, "a rent"),
    "USD/GB": Domain(1e-6, 1e6, "the price of a byte moved"),
    "USD/GB/month": Domain(1e-6, 1e6, "the price of storage"),
    "USD/kWh": Domain(1e-6, 1e3, "the price of energy"),
    "g/kWh": Domain(1e-6, 1e5, "a carbon intensity"),
    "mm2": Domain(1e-3, 1e6, "an area"),
    "1": Domain(1e-6, 1e9, "a ratio"),
}
"""Bounds by unit, a factor of a thousand or so beyond what is built, sold or thought
of: a what-if may go far, and no answer inside them overflows."""


class BareNumber(float):
    """A number from the command line: taken in the field's own SI unit."""


def parse_quantity(value: object, unit: str) -> float:
    """Return ``value`` in ``unit``, an SI unit of :data:`UNITS`.

    Raises
    ------
    ValueError
        If there is no unit, or it is one of another kind.

    Examples
    --------
    >>> parse_quantity("400 Gbit/s", "B/s"), parse_quantity("80 GiB", "B")
    (50000000000.0, 85899345920.0)
    """
    if isinstance(value, BareNumber):
        return _finite(float(value), value)
    is_short = isinstance(value, str) and len(value) <= MAX_LETTERS
    match = _QUANTITY.match(value) if isinstance(value, str) and is_short else None
    if match is None:
        its_unit = "" if unit == "1" else f" and its unit ({unit})"
        raise ValueError(f"write a number{its_unit}, not {shown(value)}")
    written = match["unit"] or match["one"]
    if written not in UNITS:
        raise ValueError(f"{written!r} is not a unit known here ({unit} wanted)")
    factor, si = UNITS[written]
    if si != unit:
        raise ValueError(
            f"{value!r} is a quantity of {si}, but {unit} is expected here"
        )
    return _finite(float(match["number"].replace("_", "")) * factor, value)


def shown(value: object) -> str:
    """Return a value as a message shows it: its start, and how long it is.

    >>> shown("eight"), shown("1" * 20_000)
    ("'eight'", '111111111111... (20,000 letters)')
    """
    if isinstance(value, str) and len(value) > MAX_LETTERS:
        return f"{value[:12]}... ({len(value):,} letters)"
    if isinstance(value, str | float | bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**MAX_LETTERS else "a giant number"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple | set) else "this"


def _finite(number: float, shown: object) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{shown} is not a finite number")
    return number


@dataclass(frozen=True)
class Unit:
    """Annotation of a float field: its SI unit, and what it may be."""

    si: str
    is_positive: bool = True
    least: float | None = None
    """In place of the unit's own bound, and so below."""
    most: float | None = None
    noun: str = ""
    """What lies between bounds of its own, in words."""

    def parse(self, value: object) -> float:
        """Return ``value`` in SI, within this field's domain."""
        if type(value) is float:  # already SI: a default, or a spec built in Python
            number = _finite(value, value)
        else:
            number = parse_quantity(value, self.si)
        if self.is_positive and number <= 0:
            raise ValueError(f"{value!s} is not positive")
        if number < 0:
            raise ValueError(f"{value!s} is negative")
        if number < self.lowest:
            raise ValueError(f"{number:g} is less than {self._bound(self.lowest)}")
        if number > self.highest:
            raise ValueError(f"{number:g} is more than {self._bound(self.highest)}")
        return number

    @property
    def lowest(self) -> float:
        """The least that is taken."""
        if self.least is not None:
            return self.least
        return DOMAINS[self.si].least if self.is_positive else 0.0

    @property
    def highest(self) -> float:
        """The most that is taken."""
        return DOMAINS[self.si].most if self.most is None else self.most

    def _bound(self, number: float) -> str:
        unit = "" if self.si == "1" else f" {self.si}"
        extreme = "least" if number == self.lowest else "most"
        noun = self.noun or DOMAINS[self.si].noun
        return f"{number:g}{unit}, the {extreme} that {noun} may be"

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_FromFile(self))

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "description": f"a number and its unit, of the kind {self.si}, "
            f"from {self.lowest:g} to {self.highest:g}",
            "examples": [f"1 {self.si}"],
        }


@dataclass(frozen=True)
class _FromFile:
    unit: Unit

    def __call__(self, value: object) -> float:
        if type(value) is float:  # a bare number in a file has no unit
            return self.unit.parse(str(value))
        return self.unit.parse(value)


Bytes = Annotated[float, Unit("B")]
BytesPerS = Annotated[float, Unit("B/s")]
Flop = Annotated[float, Unit("FLOP")]
FlopPerS = Annotated[float, Unit("FLOP/s")]
Seconds = Annotated[float, Unit("s", is_positive=False)]
Watts = Annotated[float, Unit("W")]
Usd = Annotated[float, Unit("USD", is_positive=False)]
UsdPerHour = Annotated[float, Unit("USD/h", is_positive=False)]
UsdPerKwh = Annotated[float, Unit("USD/kWh", is_positive=False)]
GramsPerKwh = Annotated[float, Unit("g/kWh", is_positive=False)]
SquareMm = Annotated[float, Unit("mm2")]
