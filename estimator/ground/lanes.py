"""One number per scenario, in place of a number: formulas for one serve for many.

Arithmetic on :class:`Lanes` is NumPy's. Where a formula branches on a comparison whose
outcome is not the same in all lanes, :class:`Diverged` stops it, and
:func:`in_agreement` runs it again on either part alone: whatever the formula does, each
lane gets what it would get on its own. :func:`largest` and :func:`smallest` do not
branch; formulas that compare the same numbers often use them. Types stay those of one
scenario: where a formula says ``float``, lanes may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


class Diverged(Exception):  # noqa: N818 - a way out of a formula, not a mistake
    """A branch that some lanes take and others do not."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        super().__init__("lanes take different branches")
        self.mask = mask


class Lanes(np.ndarray[Any, Any]):
    """An array, one value per scenario, that behaves as one number does.

    >>> rate = lanes([1.0, 2.0])
    >>> 6.0 / rate, largest(rate, 1.5)
    (Lanes([6., 3.]), Lanes([1.5, 2. ]))
    >>> bool(rate > 0)
    True
    """

    def __bool__(self) -> bool:
        mask = np.asarray(self) != 0
        if mask.all():
            return True
        if not mask.any():
            return False
        raise Diverged(mask)

    def __float__(self) -> float:
        values = np.asarray(self)
        same = values == values.flat[0]
        if same.all():
            return float(values.flat[0])
        raise Diverged(same)

    def __int__(self) -> int:
        return int(float(self))

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits) if digits is not None else int(np.round(self))

    def __ceil__(self) -> int:
        return int(np.ceil(self))

    def __floor__(self) -> int:
        return int(np.floor(self))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(float(self))


def lanes(values: Any) -> Lanes:
    """Return values as lanes."""
    return np.asarray(values, dtype=np.float64).view(Lanes)


def largest(*values: float) -> float:
    """Return the largest of numbers, lane by lane where some are lanes."""
    batch: tuple[Any, ...] = values
    if any(isinstance(value, Lanes) for value in batch):
        made: float = reduce(np.maximum, batch)
        return made
    return max(values)


def smallest(*values: float) -> float:
    """Return the smallest of numbers, lane by lane where some are lanes."""
    batch: tuple[Any, ...] = values
    if any(isinstance(value, Lanes) for value in batch):
        made: float = reduce(np.minimum, batch)
        return made
    return min(values)


def in_agreement(
    evaluate: Callable[[Index], Mapping[str, Any]], num_lanes: int
) -> Iterator[tuple[Index, Mapping[str, Any]]]:
    """Yield indices of lanes that take the same branches, and what they evaluate to.

    ``evaluate`` takes indices of lanes and is run again on fewer where they diverge.

    Examples
    --------
    >>> rates = np.array([1.0, 4.0, 2.0])
    >>> def time(index):
    ...     return {"s": max(3.0, 6.0 / lanes(rates[index]))}
    >>> sorted((i.tolist(), np.asarray(r["s"]).tolist())
    ...        for i, r in in_agreement(time, 3))
    [([0], [6.0]), ([1, 2], 3.0)]
    """
    waiting = [np.arange(num_lanes)]
    while waiting:
        index = waiting.pop()
        try:
            made = evaluate(index)
        except Diverged as parted:
            waiting += [index[~parted.mask], index[parted.mask]]
            continue
        yield index, made
