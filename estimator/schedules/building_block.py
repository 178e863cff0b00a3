"""Schedules unrolled from a building block: one micro-batch's passes, and repetition.

A block says in which unit of time each of the ``2P`` stages runs a micro-batch forward
and backward; rank ``r`` holds stages ``r`` and ``2P - 1 - r``. How long a stage waits
between the two decides how much memory the schedule takes. The block repeats every six
units, in which a rank runs both of its stages forward and backward; weight passes fill
the two units left. Outside the steady phase, passes are then pulled forward into idle
units as far as no rank comes to hold more than the repeated block holds anyway.
"""

from __future__ import annotations

from functools import lru_cache

from estimator.schedules.notation import Instruction, Op, need

PERIOD = 6
"""Units per micro-batch and rank: F, I and W of two stages."""

Block = tuple[tuple[int, int], ...]
"""For each stage, the units of its forward and of its backward-input pass."""


class _Lane:
    """One rank's units of time, and before each: activations held, weights owed."""

    def __init__(self, num_units: int) -> None:
        self.units: list[Instruction | None] = [None] * num_units
        self.held = [0] * (num_units + 1)
        self.owed = [0] * (num_units + 1)

    def count(self, begin: int, changed: int) -> int:
        """Recount from ``begin`` on and return the most held.

        Behind ``changed`` the units are as before, and counting ends where it agrees.
        """
        peak = 0
        for unit in range(begin, len(self.units)):
            held, owed, here = self.held[unit], self.owed[unit], self.units[unit]
            if here is None:
                runs_weights = owed > 0
                held -= runs_weights
                owed -= runs_weights
            elif here.op is Op.F:
                held += 1
            else:
                owed += 1
            peak = max(peak, held)
            agrees = (held, owed) == (self.held[unit + 1], self.owed[unit + 1])
            if agrees and unit >= changed:
                break
            self.held[unit + 1], self.owed[unit + 1] = held, owed
        return peak

    def pull(self, now: int, earlier: int, capacity: int) -> bool:
        """Move a pass to an earlier unit unless that takes too much memory."""
        units = self.units
        units[now], units[earlier] = None, units[now]
        if self.count(earlier, now) <= capacity:
            return True
        units[now], units[earlier] = units[earlier], None
        self.count(earlier, now)
        return False

    def instructions(self) -> tuple[Instruction, ...]:
        """Return the lane's order with its weight passes, oldest first."""
        order: list[Instruction] = []
        owed: list[Instruction] = []
        for here in self.units:
            if here is not None:
                order.append(here)
                if here.op is Op.I:
                    owed.append(here._replace(op=Op.W))
            elif owed:
                order.append(owed.pop(0))
        return (*order, *owed)


@lru_cache(maxsize=64)
def unrolled(
    block: Block, num_microbatches: int
) -> tuple[tuple[Instruction, ...], ...]:
    """Return every rank's order of the schedule that repeats ``block``.

    References
    ----------
    .. [1] P. Qi et al., "Pipeline Parallelism with Controllable Memory," NeurIPS 2024:
       repeating, squeezing and reordering.
    """
    last_stage = len(block) - 1
    unit = {
        Instruction(stage, op, microbatch): first + PERIOD * microbatch
        for stage, firsts in enumerate(block)
        for op, first in zip((Op.F, Op.I), firsts, strict=True)
        for microbatch in range(num_microbatches)
    }
    num_units = max(unit.values()) + 1
    lanes = [_Lane(num_units) for _ in range(len(block) // 2)]
    for part, now in unit.items():
        lanes[min(part.stage, last_stage - part.stage)].units[now] = part
    capacity = max(lane.count(0, num_units) for lane in lanes)
    # steady: from rank 0's first micro-batch done to its last one begun
    steady = range(
        unit[Instruction(0, Op.I, 0)] + 2,
        unit[Instruction(0, Op.F, num_microbatches - 1)] + 1,
    )
    for part in sorted(unit, key=lambda part: (unit[part], part.stage)):
        now = unit[part]
        if now in steady:
            continue
        lane = lanes[min(part.stage, last_stage - part.stage)]
        for earlier in range(_earliest(part, unit, last_stage), now):
            if lane.units[earlier] is None and lane.pull(now, earlier, capacity):
                unit[part] = earlier
                break
    return tuple(lane.instructions() for lane in lanes)


def _earliest(part: Instruction, unit: dict[Instruction, int], last_stage: int) -> int:
    """Return the unit from which on ``part`` has its input and its predecessor."""
    begin = 0
    wanted = need(part, last_stage)
    if wanted is not None:
        op = Op.F if wanted.op is Op.F else Op.I
        begin = unit[wanted._replace(op=op)] + 1
    if part.microbatch:
        begin = max(begin, unit[part._replace(microbatch=part.microbatch - 1)] + 1)
    return begin
