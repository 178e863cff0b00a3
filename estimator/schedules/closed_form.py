"""Closed forms: the bubble that a schedule's authors give, and when it holds.

A function registered under the schedule's name stands beside its generator. Notation:
``P`` ranks, ``n`` micro-batches, ``v`` stages per rank; ``F``, ``I``, ``W``, ``B`` and
``FB`` are a rank's whole share of one micro-batch in one direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from estimator.ground.errors import InputError
from estimator.ground.registry import Registry
from estimator.schedules.notation import Pipeline

SAME = 1e-9
"""Durations whose relative difference is below this count as equal."""


class Durations(NamedTuple):
    """Seconds that a rank spends on one micro-batch in one direction."""

    f_s: float
    i_s: float
    w_s: float
    b_s: float
    fb_s: float

    @property
    def are_equal(self) -> bool:
        """Whether F = I = W."""
        return same(self.f_s, self.i_s) and same(self.f_s, self.w_s)


def durations(
    f_s: float = 1.0,
    i_s: float = 1.0,
    w_s: float = 1.0,
    b_s: float | None = None,
    fb_s: float | None = None,
) -> Durations:
    """Return durations; B = I + W and FB = F + B unless given.

    Raises
    ------
    InputError
        If one is negative or not finite, or all are zero.

    Examples
    --------
    >>> durations(f_s=2.0)
    Durations(f_s=2.0, i_s=1.0, w_s=1.0, b_s=2.0, fb_s=4.0)
    """
    whole_s = i_s + w_s if b_s is None else b_s
    made = Durations(f_s, i_s, w_s, whole_s, f_s + whole_s if fb_s is None else fb_s)
    if not all(math.isfinite(seconds) and seconds >= 0 for seconds in made):
        raise InputError(f"durations are finite and not negative, got {tuple(made)}")
    if not any(made):
        raise InputError("durations are all zero, and a schedule needs work")
    return made


def same(left_s: float, right_s: float) -> bool:
    """Return whether two durations are equal but for rounding."""
    return math.isclose(left_s, right_s, rel_tol=SAME)


class ClosedForm(NamedTuple):
    """A bubble by formula."""

    bubble_s: float
    holds: bool
    """Whether the formula is exact for these durations and this shape."""
    condition: str


closed_form: Registry[Callable[[Pipeline, Durations], ClosedForm]] = Registry(
    "closed form", package="estimator.schedules"
)
"""Schedule name -> its bubble by formula, for the schedules that have one."""
