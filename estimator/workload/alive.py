"""Bytes that come and go on a rank while it runs its program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estimator.schedules.notation import Op, Program


class Stored(NamedTuple):
    """Bytes of one micro-batch that are kept between its passes."""

    until_input: float
    """Freed by the input pass."""
    until_weight: float
    """Freed by the weight pass."""

    @property
    def total(self) -> float:
        """Both."""
        return self.until_input + self.until_weight


class Alive(NamedTuple):
    """Bytes that come and go while a rank runs its program."""

    activations: float
    gradients: float


def peaks(
    program: Program,
    stored: tuple[Stored, ...],
    gradients: tuple[Mapping[int, float], ...],
    *,
    are_preallocated: bool = True,
) -> list[Alive]:
    """Return what is alive on each rank when most is, from its program's order.

    Parameters
    ----------
    program : Program
        What each rank runs, in order.
    stored : tuple of Stored
        Bytes that one micro-batch keeps, by stage.
    gradients : tuple of mapping
        Of each rank the bytes of its stages' gradients.
    are_preallocated : bool
        Whether these are there all the time, or from a stage's first backward pass on.
    """
    change = [
        {
            Op.F: kept.total,
            Op.B: -kept.total,
            Op.I: -kept.until_input,
            Op.W: -kept.until_weight,
        }
        for kept in stored
    ]
    found = []
    for instructions, of_stage in zip(program.ranks, gradients, strict=True):
        missing = {} if are_preallocated else dict(of_stage)
        there = sum(of_stage.values()) if are_preallocated else 0.0
        alive, most = 0.0, Alive(0.0, there)
        for instruction in instructions:
            for part in instruction.parts:
                alive += change[part.stage][part.op]
                if missing and part.op in (Op.B, Op.W):
                    there += missing.pop(part.stage, 0.0)
                if alive + there > most.activations + most.gradients:
                    most = Alive(alive, there)
        found.append(most)
    return found
