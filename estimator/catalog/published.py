"""GPU-hours of phases that are taken from their source, here and elsewhere.

They were spent on the scenario as its author wrote it, on the node that a phase names.
On other hardware, under another plan or in another number format they follow the
simulated ones: by the ratio of the first simulated phase's GPU-hours, here over there.
Where that cannot be simulated there, the phase is left out. Constants may be lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from estimator.catalog import kinds, loading
from estimator.ground.errors import EstimatorError, InfeasibleError
from estimator.specs.hardware import Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import Phase

AS_WRITTEN = "the scenario as written"
MainHours = Callable[[Scenario], float]
"""GPU-hours of a scenario's first simulated phase."""


@dataclass
class Published:
    """What the published phases of a scenario take; ratios are made once."""

    scenario: Scenario
    main_hours: MainHours
    _ratios: dict[str, float | EstimatorError] = field(default_factory=dict)

    def hours(self, phase: Phase) -> float | None:
        """Return a published phase's GPU-hours, or None where it is left out."""
        ratio = self._ratio(phase.node)
        if isinstance(ratio, EstimatorError):
            return None
        return (phase.gpu_hours or 0.0) * ratio

    def scaled_from(self, phase: Phase) -> str:
        """Return what a phase's hours were carried over from; empty where they stay."""
        ratio = self._ratio(phase.node)
        if not isinstance(ratio, EstimatorError) and ratio == 1:
            return ""
        own = self.scenario.published_on
        before = own.cluster.node.name if own else ""
        node = phase.node or before
        return AS_WRITTEN if node in ("", self.scenario.cluster.node.name) else node

    def said(self, phase: Phase) -> str:
        """Return how a phase's hours were carried over; empty where they were not."""
        origin, ratio = self.scaled_from(phase), self._ratio(phase.node)
        if isinstance(ratio, EstimatorError):
            return (
                f"{phase.name} is left out: its hours are those of {origin}, and "
                f"what they would be here cannot be told ({ratio.what})"
            )
        if not origin:
            return ""
        main = self.scenario.main_phase
        return (
            f"{phase.name}: the hours published of {origin} times {ratio:.4g}, the "
            f"GPU-hours that {main.name} takes here over those it takes there"
        )

    def _ratio(self, node: str) -> float | EstimatorError:
        if node not in self._ratios:
            self._ratios[node] = self._made(node)
        return self._ratios[node]

    def _made(self, node: str) -> float | EstimatorError:
        try:
            there = _there(self.scenario, node)
        except EstimatorError as error:
            return error
        if there.setting == self.scenario.setting:
            return 1.0
        before = _spent(_Spent(there), self.main_hours)
        if isinstance(before, EstimatorError):
            return before
        return self.main_hours(self.scenario) / before


def is_elsewhere(scenario: Scenario, phase: Phase) -> bool:
    """Whether a published phase's hours change with the plan."""
    if scenario.published_on:
        return True
    if not phase.node:
        return False
    is_known = phase.node in kinds.names("node")
    own = scenario.cluster.node.gpu.name
    return not is_known or _node(phase.node).gpu.name != own


def as_written(scenario: Scenario) -> Scenario:
    """Return a scenario without what its phases were spent on, where that is itself."""
    if scenario.published_on != scenario.setting:
        return scenario
    return replace(scenario, published_on=None)


def _there(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario that a published phase's hours were spent on."""
    own = scenario.published_on or scenario.setting
    cluster = own.cluster
    if name and _node(name).gpu.name != cluster.node.gpu.name:
        cluster = replace(cluster, node=_node(name))
    try:
        return replace(
            scenario,
            cluster=cluster,
            plan=own.plan,
            precision=own.precision,
            recompute=own.recompute,
            published_on=None,
        )
    except ValueError as error:  # its plan does not suit the model or the other node
        raise InfeasibleError(str(error)) from None


def _node(name: str) -> Node:
    if name not in kinds.names("node"):  # nothing else is read while estimating
        raise InfeasibleError(f"there is no built-in node called {name[:60]!r}")
    made: Node = loading.load("node", name)
    return made


class _Spent:
    """A scenario by what its first simulated phase's hours follow from."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.key = repr((scenario.setting, scenario.model, scenario.phases))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Spent) and self.key == other.key


@lru_cache(maxsize=64)
def _spent(there: _Spent, main_hours: MainHours) -> float | EstimatorError:
    """Return the GPU-hours there, simulated once for all that are told against it."""
    try:
        return main_hours(there.scenario)
    except EstimatorError as error:
        return error
