"""Seconds of collectives and point-to-point transfers, bandwidth and latency.

Notation: ``n`` bytes of the full buffer, ``p`` ranks, ``alpha`` seconds a step. A ring
over several nodes runs as fast as its slowest leg: the links inside a node, or the
NICs of the members that share a node. NCCL pipelines the legs, so they do not add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from estimator.costs.rates import Links
from estimator.lanes import smallest
from estimator.registry import Registry


@dataclass(frozen=True)
class Group:
    """Ranks that communicate, and how they sit on nodes."""

    size: int
    per_node: int
    """Members on one node."""

    @property
    def is_inside_node(self) -> bool:
        """Whether all members share one node."""
        return self.per_node >= self.size


def group(size: int, stride: int, gpus_per_node: int) -> Group:
    """Return the group of ``size`` ranks whose numbers lie ``stride`` apart.

    Ranks fill nodes in order (Megatron-LM's tp-cp-ep-dp-pp, innermost first).

    >>> group(size=128, stride=1, gpus_per_node=8)
    Group(size=128, per_node=8)
    >>> group(size=4, stride=64, gpus_per_node=8)
    Group(size=4, per_node=1)
    """
    if min(size, stride, gpus_per_node) < 1:
        raise ValueError(f"sizes must be positive, got {(size, stride, gpus_per_node)}")
    return Group(size, min(size, max(1, gpus_per_node // stride)))


def ring_bytes_per_s(members: Group, links: Links) -> float:
    """Return the bandwidth of one rank in a ring over the group."""
    if members.is_inside_node:
        return links.nvlink_bytes_per_s
    nics = members.per_node * links.nic_bytes_per_s
    return smallest(links.nvlink_bytes_per_s, nics) if members.per_node > 1 else nics


def step_latency_s(members: Group, links: Links) -> float:
    """Return alpha, the mean latency of one ring step."""
    if members.is_inside_node:
        return links.nvlink_latency_s
    crossing = 1 / members.per_node
    return crossing * links.nic_latency_s + (1 - crossing) * links.nvlink_latency_s


collective: Registry[Callable[[float, Group, Links], float]] = Registry("collective")
"""Collective/algorithm -> seconds of (bytes of the full buffer, group, links)."""


@collective("all_gather/ring")
@collective("reduce_scatter/ring")
def ring_all_gather_s(num_bytes: float, members: Group, links: Links) -> float:
    r"""Return the seconds of a ring all-gather, or of a reduce-scatter.

    .. math:: t = (p - 1) (\alpha + \frac{n}{p \beta})

    Source: Thakur et al., "Optimization of Collective Communication Operations in
    MPICH," 2005.
    """
    if num_bytes < 0:
        raise ValueError(f"bytes are not negative, got {num_bytes}")
    steps = members.size - 1
    chunk_s = num_bytes / members.size / ring_bytes_per_s(members, links)
    return steps * (step_latency_s(members, links) + chunk_s)


@collective("all_reduce/ring")
def ring_all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of a ring all-reduce: a reduce-scatter and an all-gather."""
    return 2 * ring_all_gather_s(num_bytes, members, links)


def send_s(num_bytes: float, links: Links, *, is_inside_node: bool) -> float:
    """Return the seconds of one point-to-point transfer."""
    if is_inside_node:
        return links.nvlink_latency_s + num_bytes / links.nvlink_bytes_per_s
    return links.nic_latency_s + num_bytes / links.nic_bytes_per_s
