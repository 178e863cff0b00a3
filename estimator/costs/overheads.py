"""What a collective costs besides bytes over bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from estimator.specs.hardware import Fabric, Node


@dataclass(frozen=True)
class Overheads:
    """What a collective costs besides bytes over bandwidth; nothing by default.

    The fields are those of :class:`estimator.specs.hardware.Collectives`, as plain
    numbers and rates.
    """

    launch_s: float = 0.0
    step_s: float = 0.0
    simple_s: float = 0.0
    chunk_s: float = 0.0
    chunk_bytes: float = 1.0
    low_latency_bytes_per_s: float = inf
    copy_bytes_per_s: float = inf
    switch_reduction_s: float = 0.0
    net_step_s: float = 0.0
    """One step between scale-up domains."""


def overheads(node: Node, fabric: Fabric) -> Overheads:
    """Return what the collectives of a node on a fabric cost besides.

    Parameters
    ----------
    node : Node
        Its measured seconds of a launch, a step and a chunk, and rates in B/s.
    fabric : Fabric
        Whose step was measured, or else takes as long as its latency.

    Examples
    --------
    >>> from estimator.catalog.loading import load_scenario
    >>> cluster = load_scenario("deepseek-v3").cluster
    >>> f"{overheads(cluster.node, cluster.fabric).launch_s * 1e6:.1f} us"
    '5.6 us'
    """
    known = node.collectives
    reduction_s = known.switch_reduction_s
    net_step = fabric.step_s
    return Overheads(
        launch_s=known.launch_s.value,
        step_s=known.step_s.value,
        simple_s=known.simple_s.value,
        chunk_s=known.chunk_s.value,
        chunk_bytes=known.chunk_bytes.value,
        low_latency_bytes_per_s=node.nvlink_bytes_per_s * known.low_latency.value,
        copy_bytes_per_s=known.copy_bytes_per_s.value,
        switch_reduction_s=reduction_s.value if reduction_s else 0.0,
        net_step_s=net_step.value if net_step else fabric.latency_s,
    )
