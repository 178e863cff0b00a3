"""Numbers in words: the same on a terminal, on a page and in a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estimator.ground.units import DAY_S, HOUR_S, YEAR_H

DIGITS, CLOSE = 3, 4
"""Significant digits of a result, and of inputs and rows that are compared."""
LEAST_SHARE, MOST_CHANGE = 1e-5, 10.0
"""Below which a share is told as less, and from which a ratio is told in times."""


class Rung(NamedTuple):
    """A unit of a ladder."""

    start: float
    """From which size on it is used, in SI."""
    one: float
    """What one of it is in SI."""
    unit: str


Ladder = tuple[Rung, ...]
"""Units of one kind, the smallest first."""


def _metric(unit: str, prefixes: str = "kMGTPE", first: int = 0) -> Ladder:
    """Return an SI unit with its prefixes, a thousand apart; ``first`` has none."""
    names = [f"{prefix}{unit}" for prefix in prefixes]
    names.insert(-first, unit)
    ones = (10.0 ** (3 * (power + first)) for power in range(len(names)))
    return tuple(Rung(one, one, name) for one, name in zip(ones, names, strict=True))


COUNT = (
    Rung(0, 1, ""),
    Rung(1e4, 1e3, "K"),
    *_metric("", "kMGT")[2:],
    Rung(1e15, 1, ""),  # a power: nobody counts in quadrillions
)
_BRIEF = (
    *_metric("s", "pnum", first=-4),
    Rung(120, 60, "min"),
    Rung(2 * HOUR_S, HOUR_S, "h"),
)
_POWERS = {"K": "thousand", "M": "million", "G": "billion", "T": "trillion"}
TIME = (
    *_BRIEF,
    Rung(2 * DAY_S, DAY_S, "days"),
    Rung(1000 * DAY_S, YEAR_H * HOUR_S, "years"),
)
ENERGY = (
    *_metric("J", "numk", first=-3),
    *(Rung(one * HOUR_S, one * HOUR_S, unit) for _, one, unit in _metric("Wh")),
)
MASS = (
    *(Rung(one / 1e3, one / 1e3, unit) for _, one, unit in _metric("g", "num", -3)),
    Rung(1, 1, "kg"),
    *(Rung(one * 1e3, one * 1e3, unit) for _, one, unit in _metric("t")),
)
BYTES = _metric("B")
_LADDERS: Mapping[str, Ladder] = {
    "s": _BRIEF,
    **{
        unit: _metric(unit, "kMGT")
        for unit in ("B", "B/s", "FLOP", "FLOP/s", "W", "USD")
    },
}
"""Of inputs: each name can be read back."""


def rung(value: float, ladder: Ladder, digits: int = DIGITS) -> Rung:
    """Return the unit that fits a value, as it is rounded."""
    size = abs(float(f"{value:.{digits}g}")) or 1.0  # nothing has the plain unit
    return next((each for each in reversed(ladder) if each.start <= size), ladder[0])


def _said(value: float, ladder: Ladder, digits: int = DIGITS) -> str:
    unit = rung(value, ladder, digits)
    return f"{number(value / unit.one, digits)} {unit.unit}"


def counted(value: float, noun: str) -> Rung:
    """Return the unit of an axis of dollars or GPU-hours.

    >>> counted(5.6e6, "USD").unit, counted(76.7, "USD").unit
    ('million USD', 'USD')
    """
    found = rung(value, COUNT)
    return found._replace(unit=f"{_POWERS.get(found.unit, found.unit)} {noun}".strip())


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number without a unit: significant digits, no more than four whole.

    >>> number(20.1299), number(1234.5), number(3.3e24), number(0.0)
    ('20.1', '1,234', '3.3e24', '0')
    """
    text = f"{value:.{digits}g}"
    if "e" in text and 1 <= abs(value) < 9999.5:
        return f"{value:,.0f}"
    return text.replace("e+", "e") if "e" in text else f"{float(text):,.{digits}g}"


def short(value: float, digits: int = DIGITS) -> str:
    """Return a count with a metric suffix: GPU-hours, tokens, parameters.

    >>> short(1234567.0), short(9.5e12), short(12.34), short(1234567.0, CLOSE)
    ('1.23M', '9.5T', '12.3', '1.235M')
    """
    return _said(value, COUNT, digits).replace(" ", "")


def dollars(value: float, digits: int = DIGITS) -> str:
    """Return an amount of money.

    >>> dollars(5_618_900.0), dollars(-0.0123), dollars(9876.0)
    ('$5.62M', '-$0.0123', '$9,876')
    """
    return f"{'-' if value < 0 else ''}${short(abs(value), digits)}"


def duration(seconds: float, digits: int = DIGITS) -> str:
    """Return a stretch of time.

    >>> duration(4.71e6), duration(5400.0), duration(2.04e-3), duration(0.0)
    ('54.5 days', '90 min', '2.04 ms', '0 s')
    """
    return _said(seconds, TIME, digits)


def energy(joules: float, digits: int = DIGITS) -> str:
    """Return an amount of energy.

    >>> energy(7.2e12), energy(1800.0)
    ('2 GWh', '1.8 kJ')
    """
    return _said(joules, ENERGY, digits)


def mass(kilograms: float, digits: int = DIGITS) -> str:
    """Return a mass.

    >>> mass(1.234e6), mass(12.0), mass(0.002)
    ('1.23 kt', '12 kg', '2 g')
    """
    return _said(kilograms, MASS, digits)


def size(num_bytes: float, digits: int = DIGITS) -> str:
    """Return an amount of memory.

    >>> size(69.72e9), size(512.0)
    ('69.7 GB', '512 B')
    """
    return _said(num_bytes, BYTES, digits)


def flop(count: float, digits: int = DIGITS) -> str:
    """Return a number of operations, as rules write it.

    >>> flop(3.7e24), flop(2.5e11)
    ('3.7e24 FLOP', '2.5e11 FLOP')
    """
    return f"{number(count, digits)} FLOP"


def share(value: float) -> str:
    """Return a share in percent, two digits; never 0 where it is not.

    >>> share(0.368), share(3.8), share(980.0), share(1.2e-4), share(8e-12)
    ('37%', '380%', '98,000%', '0.012%', 'less than 0.001%')
    """
    if 0 < value < LEAST_SHARE:
        return f"less than {100 * LEAST_SHARE:g}%"
    if value >= 1:
        return f"{float(f'{100 * value:.2g}'):,.0f}%"
    return f"{number(100 * value, 2)}%"


def relative(ratio: float) -> str:
    """Return a change of one number over another; far up, how many times it is.

    >>> relative(0.1234), relative(-1e-9), relative(1e14)
    ('+12.3%', '+0.0%', '1e14 times')
    """
    if ratio >= MOST_CHANGE:
        return f"{number(1 + ratio)} times"
    return f"{round(ratio, 3) + 0.0:+.1%}"


def several(said: str, noun: str) -> str:
    """Return a number in words of something, of which there may be one.

    >>> several("1", "token"), several("300G", "token"), several("8", "micro-batch")
    ('1 token', '300G tokens', '8 micro-batches')
    """
    ending = "es" if noun.endswith("ch") else "s"
    return f"{said} {noun}{'' if said == '1' else ending}"


def signed(words: str) -> str:
    """Return a difference in words with its sign.

    >>> signed(dollars(12.0)), signed(dollars(-12.0))
    ('+$12', '-$12')
    """
    return words if words.startswith("-") else f"+{words}"


def quantity(value: float, unit: str) -> str:
    """Return an input with its unit, prefix included, four digits.

    >>> quantity(3.35e12, "B/s"), quantity(2.04e-3, "s"), quantity(33800.0, "USD")
    ('3.35 TB/s', '2.04 ms', '33.8 kUSD')
    """
    if unit in _LADDERS:
        return _said(value, _LADDERS[unit], CLOSE).replace(",", "")
    return number(value, CLOSE) if unit == "1" else f"{short(value, CLOSE)} {unit}"
