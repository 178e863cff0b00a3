"""What a GPU's host spends on kernels and collectives before they can run."""

from __future__ import annotations

from estimator.costs.rates import Layer
from estimator.errors import InfeasibleError
from estimator.specs.base import Constant
from estimator.specs.scenario import Scenario


def dispatch_s(scenario: Scenario, layer: Layer) -> float:
    """Return the host's seconds for one kernel; 0 where programs are compiled."""
    return _value(scenario.cluster.node.dispatch_s, layer)


def check_s(scenario: Scenario, layer: Layer) -> float:
    """Return the host's seconds for each rank of a collective that it checks first.

    Raises
    ------
    InfeasibleError
        If the plan checks collectives and nobody measured how long that takes.
    """
    node = scenario.cluster.node
    if not scenario.plan.checks_collectives:
        return 0.0
    if node.check_s is None:
        raise InfeasibleError(
            f"{node.title} has no time for checks of collectives in its file (check_s)",
            fix="plan.checks_collectives: false",
        )
    return _value(node.check_s, layer)


def _value(known: Constant | None, layer: Layer) -> float:
    return known.value if known and layer is not Layer.SPECIFICATION else 0.0
