"""A scenario's phases, one after the other: the walk that every answer takes.

A report, a sweep's point, a plan and a share of a difference ask the same walk for a
step's seconds, GPU-hours, MFU, memory and the bill. Rates and prices may be
:class:`estimator.ground.lanes.Lanes`: then each number is one value per lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from estimator.answer.bill import Bill, outcome
from estimator.answer.breakdown import model_mfu
from estimator.answer.report import gpu_hours
from estimator.answer.step_model import StepModel
from estimator.answer.training import peak_bytes, phase_time
from estimator.catalog.published import Published
from estimator.costs.rates import Layer
from estimator.ground.units import HOUR_S
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase


class Spent(NamedTuple):
    """What a phase takes."""

    gpu_hours: float
    wall_s: float
    step_s: float = 0.0
    """Of the full batch, where the phase is simulated."""
    num_steps: float = 0.0


class Answer(NamedTuple):
    """What every scenario is asked, and every row of a sweep has as columns."""

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
class Walk:
    """Phases of one scenario, or of many that differ in rates and prices.

    Those of one sequence length share a step model; each number is made once.
    """

    scenario: Scenario
    models: dict[int, StepModel] = field(default_factory=dict)
    peak_bytes: float | None = None
    """Memory, where it is known already."""
    published: Published = field(init=False)
    """Phases that are not simulated."""
    _step_s: dict[tuple[int, int, Layer], float] = field(default_factory=dict)
    """By sequence length, batch and layer: phases may share them."""

    def __post_init__(self) -> None:
        self.published = Published(self.scenario, _main_hours)

    def model(self, phase: Phase) -> StepModel:
        """Return the step model of a simulated phase."""
        seq_len = phase.seq_len or 0
        if seq_len not in self.models:
            self.models[seq_len] = StepModel(self.scenario, seq_len)
        return self.models[seq_len]

    @property
    def main(self) -> tuple[StepModel, int]:
        """The step model of the first simulated phase, and its full batch."""
        _, _, batch = simulated(self.scenario.main_phase)
        return self.model(self.scenario.main_phase), batch.final

    def step_s(self, phase: Phase, layer: Layer = Layer.IN_SITU) -> float:
        """Return the seconds of a step of a simulated phase at its full batch."""
        seq_len, _, batch = simulated(phase)
        key = seq_len, batch.final, layer
        if key not in self._step_s:
            model = self.model(phase)
            self._step_s[key] = model.step_s(model.num_microbatches(batch.final), layer)
        return self._step_s[key]

    def spent(self, phase: Phase) -> Spent:
        """Return what a phase takes: simulated, or its published GPU-hours.

        Nothing where these are left out.
        """
        num_gpus = self.scenario.cluster.num_gpus
        if phase.basis == "published":
            hours = self.published.hours(phase) or 0.0
            return Spent(hours, hours / num_gpus * HOUR_S)
        _, num_tokens, batch = simulated(phase)
        step_s = self.step_s(phase)
        wall_s, num_steps = phase_time(self.model(phase), batch, num_tokens, step_s)
        return Spent(gpu_hours(wall_s, num_gpus), wall_s, step_s, num_steps)

    @cached_property
    def phases(self) -> tuple[Spent, ...]:
        """What each phase takes, in the scenario's order."""
        return tuple(map(self.spent, self.scenario.phases))

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all phases."""
        return sum(each.gpu_hours for each in self.phases)

    @cached_property
    def outcome(self) -> Bill:
        """The bill, energy and carbon of all phases."""
        return outcome(self.scenario, self.gpu_hours)

    @property
    def mfu(self) -> float:
        """Of the main step."""
        return model_mfu(*self.main, self.step_s(self.scenario.main_phase))

    def memory_bytes(self) -> float:
        """Return the peak bytes of the fullest rank."""
        if self.peak_bytes is None:
            self.peak_bytes = peak_bytes(*self.main)
        return self.peak_bytes

    def answer(self) -> Answer:
        """Return time, cost and memory.

        Raises
        ------
        InfeasibleError
            If the parts of the scenario do not fit together.
        """
        return Answer(
            gpu_hours=self.gpu_hours,
            wall_s=self.gpu_hours / self.scenario.cluster.num_gpus * HOUR_S,
            cost_usd=self.outcome.cost_usd,
            step_s=self.step_s(self.scenario.main_phase),
            mfu=self.mfu,
            peak_bytes=self.memory_bytes(),
            hbm_bytes=self.scenario.cluster.node.gpu.hbm_bytes,
        )


def _main_hours(scenario: Scenario) -> float:
    return Walk(scenario).spent(scenario.main_phase).gpu_hours


def simulated(phase: Phase) -> tuple[int, float, GlobalBatch]:
    """Return sequence length, tokens and batch of a simulated phase."""
    if phase.seq_len is None or phase.num_tokens is None:
        raise ValueError(f"the phase {phase.name!r} is not simulated")
    if phase.global_batch_size is None:
        raise ValueError(f"the phase {phase.name!r} has no batch")
    return phase.seq_len, phase.num_tokens, phase.global_batch_size
