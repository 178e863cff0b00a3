"""GPU-hours of phases that are taken from their source, here and on other hardware.

Hours on another GPU than the one that they were spent on follow the simulated ones: by
the ratio of the first simulated phase's GPU-hours, here over there. Where that cannot
be simulated there, the phase is left out. Constants may be lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from estimator import catalog
from estimator.errors import EstimatorError, InfeasibleError
from estimator.specs.hardware import Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import Phase


@dataclass
class Published:
    """What the published phases of a scenario take; ratios are made once."""

    scenario: Scenario
    main_hours: Callable[[Scenario], float]
    """GPU-hours of a scenario's first simulated phase."""
    _ratios: dict[str, float | EstimatorError] = field(default_factory=dict)

    def hours(self, phase: Phase) -> float | None:
        """Return a published phase's GPU-hours, or None where it is left out."""
        ratio = self._ratio(phase.node)
        if isinstance(ratio, EstimatorError):
            return None
        return (phase.gpu_hours or 0.0) * ratio

    def said(self, phase: Phase) -> str:
        """Return how a phase's hours were carried over; empty where they were not."""
        if not is_elsewhere(self.scenario, phase):
            return ""
        ratio = self._ratio(phase.node)
        if isinstance(ratio, EstimatorError):
            return (
                f"{phase.name} is left out: its hours are those of {phase.node}, and "
                f"what they would be here cannot be told ({ratio.what})"
            )
        main = self.scenario.main_phase
        return (
            f"{phase.name}: the hours published of {phase.node} times {ratio:.4g}, the "
            f"GPU-hours that {main.name} takes here over those it takes there"
        )

    def _ratio(self, name: str) -> float | EstimatorError:
        if name not in self._ratios:
            self._ratios[name] = self._made(name)
        return self._ratios[name]

    def _made(self, name: str) -> float | EstimatorError:
        scenario = self.scenario
        here = scenario.cluster.node
        try:
            there = _node(name) if name else here
            if there.gpu.name == here.gpu.name:
                return 1.0
            before = self.main_hours(_moved(scenario, there))
        except EstimatorError as error:
            return error
        return self.main_hours(scenario) / before


def is_elsewhere(scenario: Scenario, phase: Phase) -> bool:
    """Whether a phase's hours were published of another GPU than the scenario's."""
    if not phase.node:
        return False
    is_known = phase.node in catalog.names("node")
    own = scenario.cluster.node.gpu.name
    return not is_known or _node(phase.node).gpu.name != own


def _moved(scenario: Scenario, node: Node) -> Scenario:
    try:
        return replace(scenario, cluster=replace(scenario.cluster, node=node))
    except ValueError as error:  # its plan does not suit the other node
        raise InfeasibleError(str(error)) from None


def _node(name: str) -> Node:
    if name not in catalog.names("node"):  # nothing else is read while estimating
        raise InfeasibleError(f"there is no built-in node called {name[:60]!r}")
    made: Node = catalog.load("node", name)
    return made
