"""What a sweep asks of a scenario, for one or for many at once.

The same step model as in ``estimate``, without the trace of events and the range of the
constants. Rates and prices may be :class:`estimator.lanes.Lanes`: then every result is
one value per lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from estimator.bill import bill, total
from estimator.costs.flop import flop_per_token, mfu
from estimator.lanes import Floats, Index, in_agreement, lanes
from estimator.report import gpu_hours
from estimator.specs.base import with_lanes
from estimator.specs.scenario import Scenario
from estimator.specs.training import Phase
from estimator.step_model import StepModel
from estimator.training import phase_time, rank_memory
from estimator.units import HOUR_S


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
class Batch:
    """Scenarios of one structure: models, programs and memory are made once."""

    scenario: Scenario
    """Rates and prices may be lanes; nothing else."""
    peak_bytes: float | None = None
    """Memory, where it is known already."""
    models: dict[int, StepModel] = field(default_factory=dict)

    def model(self, phase: Phase) -> StepModel:
        """Return the step model of a simulated phase."""
        seq_len = phase.seq_len or 0
        if seq_len not in self.models:
            self.models[seq_len] = StepModel(self.scenario, seq_len)
        return self.models[seq_len]

    def answer(self) -> Answer:
        """Return time, cost and memory, as ``estimate`` would.

        Raises
        ------
        InfeasibleError
            If the parts of the scenario do not fit together.
        """
        scenario = self.scenario
        num_gpus = scenario.cluster.num_gpus
        hours = 0.0
        full_steps: list[float] = []
        for phase in scenario.phases:
            if phase.basis == "published":
                hours += phase.gpu_hours or 0.0
                continue
            step_s, wall_s = self.times(phase)
            hours += gpu_hours(wall_s, num_gpus)
            full_steps.append(step_s)
        main = main_phase(scenario)
        return Answer(
            gpu_hours=hours,
            wall_s=hours / num_gpus * HOUR_S,
            cost_usd=total(bill(scenario, hours)),
            step_s=full_steps[0],
            mfu=self._mfu(main, full_steps[0]),
            peak_bytes=self.memory_bytes(),
            hbm_bytes=scenario.cluster.node.gpu.hbm_bytes,
        )

    def times(self, phase: Phase) -> tuple[float, float]:
        """Return the seconds of a simulated phase's full step, and of the phase."""
        batch, num_tokens = phase.global_batch_size, phase.num_tokens
        if batch is None or num_tokens is None:
            raise ValueError(f"the phase {phase.name!r} is not simulated")
        model = self.model(phase)
        step_s = model.step_s(model.num_microbatches(batch.final))
        return step_s, phase_time(model, batch, num_tokens, step_s)[0]

    def memory_bytes(self) -> float:
        """Return the peak bytes of the fullest rank."""
        if self.peak_bytes is None:
            phase = main_phase(self.scenario)
            batch = phase.global_batch_size.final if phase.global_batch_size else 1
            ranks, _ = rank_memory(self.model(phase), batch)
            self.peak_bytes = max(rank.total for rank in ranks)
        return self.peak_bytes

    def _mfu(self, phase: Phase, step_s: float) -> float:
        scenario, seq_len = self.scenario, phase.seq_len or 0
        batch = phase.global_batch_size.final if phase.global_batch_size else 1
        peak = scenario.cluster.node.gpu.peak_flop_per_s["bf16"]
        tokens_per_s = batch * seq_len / step_s
        flop = flop_per_token(scenario.model, seq_len)
        return mfu(flop, tokens_per_s, scenario.cluster.num_gpus, peak)


def main_phase(scenario: Scenario) -> Phase:
    """Return the first simulated phase: the one whose step is shown."""
    return next(phase for phase in scenario.phases if phase.basis == "simulated")


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
    peak_bytes = Batch(scenario).memory_bytes()
    columns = {name: np.empty(num_lanes) for name in NUMBERS}

    def evaluate(index: Index) -> dict[str, Any]:
        varied = scenario
        for path, values in rates.items():
            varied = with_lanes(varied, path, lanes(values[index]))
        return Batch(varied, peak_bytes).answer()._asdict()

    for index, made in in_agreement(evaluate, num_lanes):
        for name, value in made.items():
            columns[name][index] = value
    return columns
