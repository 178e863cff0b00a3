"""A scenario's phases, one after the other: the walk that every answer takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from estimator.answer.report import gpu_hours
from estimator.answer.step_model import StepModel
from estimator.answer.training import phase_time
from estimator.catalog.published import Published
from estimator.ground.units import HOUR_S
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase

StepTime = Callable[[StepModel, int], float]
"""Seconds of a step of so many sequences: as SimPy plays it, or the graph's clock."""


class Spent(NamedTuple):
    """What a phase takes."""

    gpu_hours: float
    wall_s: float
    step_s: float = 0.0
    """Of the full batch, where the phase is simulated."""
    num_steps: float = 0.0


@dataclass
class Walk:
    """Phases of one scenario; those of one sequence length share a step model."""

    scenario: Scenario
    models: dict[int, StepModel] = field(default_factory=dict)
    published: Published = field(init=False)
    """Phases that are not simulated."""

    def __post_init__(self) -> None:
        self.published = Published(self.scenario, _main_hours)

    def model(self, phase: Phase) -> StepModel:
        """Return the step model of a simulated phase."""
        seq_len = phase.seq_len or 0
        if seq_len not in self.models:
            self.models[seq_len] = StepModel(self.scenario, seq_len)
        return self.models[seq_len]

    def spent(self, phase: Phase, step_time: StepTime) -> Spent:
        """Return what a phase takes: simulated, or its published GPU-hours.

        Nothing where these are left out.
        """
        num_gpus = self.scenario.cluster.num_gpus
        if phase.basis == "published":
            hours = self.published.hours(phase) or 0.0
            return Spent(hours, hours / num_gpus * HOUR_S)
        _, num_tokens, batch = simulated(phase)
        model = self.model(phase)
        step_s = step_time(model, batch.final)
        wall_s, num_steps = phase_time(model, batch, num_tokens, step_s)
        return Spent(gpu_hours(wall_s, num_gpus), wall_s, step_s, num_steps)


def clocked_s(model: StepModel, global_batch: int) -> float:
    """Return the seconds of a step by the graph's clock."""
    return model.step_s(model.num_microbatches(global_batch))


def _main_hours(scenario: Scenario) -> float:
    return Walk(scenario).spent(scenario.main_phase, clocked_s).gpu_hours


def simulated(phase: Phase) -> tuple[int, float, GlobalBatch]:
    """Return sequence length, tokens and batch of a simulated phase."""
    if phase.seq_len is None or phase.num_tokens is None:
        raise ValueError(f"the phase {phase.name!r} is not simulated")
    if phase.global_batch_size is None:
        raise ValueError(f"the phase {phase.name!r} has no batch")
    return phase.seq_len, phase.num_tokens, phase.global_batch_size
