"""What a sweep asks of a scenario, for one or for many at once.

The same step model as in ``estimate``, without the trace of events and the range of the
constants. Rates and prices may be :class:`estimator.ground.lanes.Lanes`: then every
result is one value per lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from estimator.answer.bill import bill, total
from estimator.answer.breakdown import model_mfu
from estimator.answer.phases import Walk, clocked_s, simulated
from estimator.answer.soundness import sound
from estimator.answer.training import peak_bytes
from estimator.ground.lanes import Floats, Index, in_agreement, lanes
from estimator.ground.units import HOUR_S
from estimator.specs.base import with_lanes
from estimator.specs.scenario import Scenario


class Answer(NamedTuple):
    """The columns that every scenario of a sweep gets."""

    gpu_hours: float
    wall_s: float
    cost_usd: float
    step_s: float
    """The first simulated phase at its full batch."""
    mfu: float
    peak_bytes: float
    hbm_bytes: float


NUMBERS = Answer._fields


@dataclass
class Batch(Walk):
    """Scenarios of one structure, whose rates and prices may be lanes.

    Models, programs and memory are made once.
    """

    peak_bytes: float | None = None
    """Memory, where it is known already."""

    def answer(self) -> Answer:
        """Return time, cost and memory, as ``estimate`` would.

        Raises
        ------
        InfeasibleError
            If the parts of the scenario do not fit together.
        """
        scenario = self.scenario
        main, num_gpus = scenario.main_phase, scenario.cluster.num_gpus
        spent = [self.spent(phase, clocked_s) for phase in scenario.phases]
        hours = sum(each.gpu_hours for each in spent)
        _, _, batch = simulated(main)
        step_s = spent[scenario.phases.index(main)].step_s
        return Answer(
            gpu_hours=hours,
            wall_s=hours / num_gpus * HOUR_S,
            cost_usd=total(bill(scenario, hours)),
            step_s=step_s,
            mfu=model_mfu(self.model(main), batch.final, step_s),
            peak_bytes=self.memory_bytes(),
            hbm_bytes=scenario.cluster.node.gpu.hbm_bytes,
        )

    def memory_bytes(self) -> float:
        """Return the peak bytes of the fullest rank."""
        if self.peak_bytes is None:
            _, _, batch = simulated(self.scenario.main_phase)
            model = self.model(self.scenario.main_phase)
            self.peak_bytes = peak_bytes(model, batch.final)
        return self.peak_bytes


def answers(
    scenario: Scenario, rates: Mapping[str, Floats], num_lanes: int
) -> dict[str, Floats]:
    """Return the columns of scenarios that differ in rates and prices only.

    Parameters
    ----------
    rates : mapping of str to array
        Dotted path -> one value per scenario, each already checked.

    Raises
    ------
    InfeasibleError
        If the parts of the scenario do not fit together.
    """
    needed = Batch(scenario).memory_bytes()
    columns = {name: np.empty(num_lanes) for name in NUMBERS}

    def evaluate(index: Index) -> dict[str, Any]:
        varied = scenario
        for path, values in rates.items():
            varied = with_lanes(varied, path, lanes(values[index]))
        return Batch(varied, peak_bytes=needed).answer()._asdict()

    for index, made in in_agreement(evaluate, num_lanes):
        for name, value in made.items():
            columns[name][index] = value
    ends = {name: (row.min(), row.max()) for name, row in columns.items()}
    sound(scenario.name, ends if num_lanes else {})
    return columns
