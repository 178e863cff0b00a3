"""The net below the bounds of the specs: every number of an answer is one.

The bounds see to it that nothing overflows; what slips through is refused here, where
an answer is assembled, and is never shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

from estimator.ground.errors import InfeasibleError

T = TypeVar("T")


def sound(name: str, answer: T) -> T:
    """Return an answer as it is, every number in it finite and none negative.

    Parameters
    ----------
    name : str
        Of the scenario.
    answer : object
        Numbers in records, mappings and sequences.

    Raises
    ------
    InfeasibleError
        Naming the first number that is neither.

    Examples
    --------
    >>> sound("mine", {"step_s": 2.0})
    {'step_s': 2.0}
    """
    for path, number in numbers(answer):
        if not 0 <= number < math.inf:
            raise InfeasibleError(
                f"the numbers of {name[:80]!r} are out of proportion",
                where=[f"{path} would be {number}"],
                fix="inputs nearer to what is built",
            )
    return answer


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number inside a value, with its dotted path."""
    if isinstance(value, int | float):
        yield path, value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if is_dataclass(value):
        items = vars(value).items()
    elif isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        yield from numbers(item, f"{path}.{key}" if path else str(key))
