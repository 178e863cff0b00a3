"""Which points a sweep visits: all of a grid, or some drawn from its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from estimator.explore.axes import MAX_POINTS, Axis, numbers
from estimator.ground.errors import InputError
from estimator.ground.lanes import Floats, Index
from estimator.ground.registry import suggestion

DESIGNS = ("grid", "random", "lhs")


@dataclass(frozen=True)
class Design:
    """Points over axes: each takes one value of every axis."""

    name: str
    axes: tuple[Axis, ...]
    seed: int | None = None
    drawn: Index | None = None
    """Shape (axes, points): the place of each point's value; None for a grid."""

    def __len__(self) -> int:
        if self.drawn is None:
            return prod(len(axis) for axis in self.axes)
        return len(self.drawn[0])

    def at(self, points: Index) -> Index:
        """Return the places of the values of some points, shape (axes, points)."""
        if self.drawn is not None:
            return self.drawn[:, points]
        shape = [len(axis) for axis in self.axes]
        return np.array(np.unravel_index(points, shape))


def check_design(name: str, num_samples: int | None, seed: int) -> None:
    """Raise InputError where a design is unknown or its options do not belong to it."""
    if name not in DESIGNS:
        raise InputError(
            f"there is no design called {name!r}",
            why=f"known: {', '.join(DESIGNS)}",
            fix=suggestion(name, list(DESIGNS)),
        )
    if name == "grid":
        if num_samples is not None:
            raise InputError(
                "a grid has all of its points: --samples belongs to drawn ones",
                fix="--design lhs",
            )
        return
    if num_samples is None:
        raise InputError(f"--design {name} draws points", fix="--samples 100")
    if not 1 <= num_samples <= MAX_POINTS:
        raise InputError(f"--samples is 1 to {MAX_POINTS:,}, not {num_samples:,}")
    if seed < 0:
        raise InputError(f"a seed is not negative, got {seed}")


def drawn(name: str, axes: Sequence[Axis], num_samples: int, seed: int) -> Design:
    """Return a design of drawn points; the same seed draws the same ones.

    ``random`` draws every value on its own. ``lhs`` is a Latin hypercube: each axis is
    cut into as many equal intervals as there are points, and each holds one of them.

    References
    ----------
    .. [1] M. D. McKay et al., "A Comparison of Three Methods for Selecting Values of
       Input Variables," Technometrics 1979.
    """
    rng = np.random.default_rng(seed)
    made, places = [], []
    for axis in axes:
        share = rng.random(num_samples)
        if name == "lhs":
            share = (rng.permutation(num_samples) + share) / num_samples
        valued, place = _valued(axis, share)
        made.append(valued)
        places.append(place)
    return Design(name, tuple(made), seed, np.array(places))


def _valued(axis: Axis, share: Floats) -> tuple[Axis, Index]:
    """Return an axis with its drawn values, and the place of each share's value."""
    span = axis.span
    if span is None:
        return axis, _cell(share, len(axis))
    if span.is_whole:
        count = int(span.high - span.low) + 1
        values, place = np.unique(span.low + _cell(share, count), return_inverse=True)
        return numbers(axis, values), place
    values = span.low + share * (span.high - span.low)
    return numbers(axis, values), np.arange(len(values))


def _cell(share: Floats, count: int) -> Index:
    return np.minimum((share * count).astype(np.intp), count - 1)
