"""What a GPU's host spends on kernels and collectives before they can run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from estimator.costs.rates import Layer
from estimator.engine.operations import Operation
from estimator.ground.errors import InfeasibleError
from estimator.specs.base import Constant
from estimator.specs.scenario import Scenario
from estimator.workload.work import Sizes


class Host(NamedTuple):
    """Seconds of a GPU's host."""

    dispatch_s: float = 0.0
    """For one kernel; 0 where it never holds up."""
    check_s: float = 0.0
    """For each rank of a collective that it checks first; 0 if it does not."""
    piece_calls: float = 0.0
    """Kernels' worth of its time that a piece of a list takes."""

    def spent_s(self, made: Iterable[Operation]) -> float:
        """Return what it spends on operations, one kernel after the other."""
        return sum(
            self.dispatch_s * step.num_kernels + self.check_s * step.num_checked
            for step in made
        )


NO_HOST = Host()
"""One that takes no time."""


def waits_for_kernels(size: Sizes) -> bool:
    """Whether the host waits for each kernel: its time adds up to the GPU's.

    Asked to, or because ZeRO-3 waits for each weight that it gathers, piece by piece
    (DeepSpeed of 2021, commit 11e94e6, ``runtime/zero/stage3.py``).
    """
    has_pieces = size.software.storage.shard_buffer == "pieces"
    return size.software.kernels.launch == "blocking" or (
        has_pieces and size.plan.zero == 3
    )


def host(scenario: Scenario, layer: Layer) -> Host:
    """Return what the hosts of a scenario spend at one layer of constants.

    Parameters
    ----------
    scenario : Scenario
        Its node's measured seconds, and whether the plan checks collectives.
    layer : Layer
        The datasheets know no host; the other two layers are the same.

    Raises
    ------
    InfeasibleError
        If the plan checks collectives and nobody measured how long that takes.

    Examples
    --------
    >>> from estimator.catalog.loading import load_scenario
    >>> host(load_scenario("deepseek-v3"), Layer.SPECIFICATION).dispatch_s
    0.0
    """
    node, has_checks = (
        scenario.cluster.node,
        scenario.software.communication.checks_collectives,
    )
    if has_checks and node.check_s is None:
        raise InfeasibleError(
            f"{node.title} has no time for checks of collectives in its file (check_s)",
            fix="software.communication.checks_collectives: false",
        )
    if layer is Layer.SPECIFICATION:
        return NO_HOST
    return Host(
        _value(node.dispatch_s),
        _value(node.check_s if has_checks else None),
        node.piece_calls.value,
    )


def _value(known: Constant | None) -> float:
    return known.value if known else 0.0
