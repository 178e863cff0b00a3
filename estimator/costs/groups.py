"""Groups of ranks, how they sit on nodes, what bandwidth a member has, and sends.

A "node" is a scale-up domain: the GPUs that NVLink, or its like, connects.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from estimator.costs.rates import Links
from estimator.ground.lanes import largest, smallest


@dataclass(frozen=True)
class Group:
    """Ranks that communicate, and how they sit on nodes."""

    size: int
    per_node: int
    """Members in one scale-up domain."""
    span: int = 0
    """GPUs from the first member to the last; ``size`` if 0."""

    @property
    def is_inside_node(self) -> bool:
        """Whether all members share one node."""
        return self.per_node >= self.size

    @property
    def num_nodes(self) -> int:
        """Nodes that the members sit on."""
        return ceil(self.size / self.per_node)


def group(size: int, stride: int, gpus_per_node: int) -> Group:
    """Return the group of ``size`` ranks whose numbers lie ``stride`` apart.

    Ranks fill nodes in order (Megatron-LM's tp-cp-ep-dp-pp, innermost first).

    >>> group(size=128, stride=1, gpus_per_node=8)
    Group(size=128, per_node=8, span=128)
    >>> group(size=4, stride=64, gpus_per_node=8)
    Group(size=4, per_node=1, span=256)
    """
    if min(size, stride, gpus_per_node) < 1:
        raise ValueError(f"sizes must be positive, got {(size, stride, gpus_per_node)}")
    return Group(size, min(size, max(1, gpus_per_node // stride)), size * stride)


def scaleup_bytes_per_s(count: int, links: Links) -> float:
    """Return what each of ``count`` neighbours in one domain sends around a ring.

    A switch gives the full rate. In a mesh of direct links only those between members
    carry rings. In a torus a group that fits along one axis uses the links of that
    axis. GPUs on PCIe reach a neighbour directly; more of them share the host.
    """
    if links.topology == "mesh" and 1 < count < links.gpus_per_node:
        return links.nvlink_bytes_per_s * (count - 1) / (links.gpus_per_node - 1)
    if links.topology == "torus":
        axes = (k for k in range(1, len(links.torus)) if prod(links.torus[:k]) >= count)
        used = next(axes, len(links.torus))
        return links.nvlink_bytes_per_s * used / len(links.torus)
    if links.topology == "pcie" and count > 2:
        return smallest(links.nvlink_bytes_per_s, links.host_bytes_per_s / count)
    return links.nvlink_bytes_per_s


def exchange_bytes_per_s(count: int, links: Links) -> float:
    """Return what a rank sends to ``count`` ranks of its domain in an expert exchange.

    Its kernels fill the links as rings do; only a torus carries the bytes over many
    hops.
    """
    rate = scaleup_bytes_per_s(count, links)
    if links.topology == "torus":
        return smallest(rate, links.all_to_all_bytes_per_s)
    return rate


def nic_bytes_per_s(members: Group, links: Links) -> float:
    """Return what one GPU sends to other nodes in a ring or tree over the group.

    Beyond an oversubscribed layer only the flows that leave a pod are squeezed: one
    for each group, not one for each member.
    """
    nic = links.nic_bytes_per_s
    if members.per_node >= links.gpus_per_node and links.node_nic_bytes_per_s:
        nic = links.node_nic_bytes_per_s
    span = members.span or members.size
    if links.oversubscription == 1 or span <= links.pod_gpus:
        return nic
    in_pod = max(1, members.size * links.pod_gpus // span)
    return nic / largest(1.0, links.oversubscription / in_pod)


def ring_bytes_per_s(members: Group, links: Links) -> float:
    """Return the bandwidth of one rank in a ring over the group."""
    inside = scaleup_bytes_per_s(min(members.size, members.per_node), links)
    if members.is_inside_node:
        return inside
    nics = num_nics(members, links) * nic_bytes_per_s(members, links)
    return smallest(inside, nics) if members.per_node > 1 else nics


def num_nics(members: Group, links: Links) -> int:
    """Return the NICs of a node that one ring or tree over the group keeps busy."""
    return min(members.per_node, links.max_nics or members.per_node)


def all_to_all_squeeze(span: int, links: Links) -> float:
    """Return by how much oversubscription slows what leaves the pods of an all-to-all.

    >>> links = Links(8, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, oversubscription=7.0)
    >>> all_to_all_squeeze(64, links)
    7.0
    """
    if links.oversubscription == 1 or span <= links.pod_gpus:
        return 1.0
    return largest(1.0, links.oversubscription * (1 - links.pod_gpus / span))


def send_s(
    num_bytes: float, links: Links, *, is_inside_node: bool, span: int = 0
) -> float:
    """Return the seconds of one point-to-point transfer.

    ``span`` is the distance of the two GPUs; without it they sit in different pods.
    """
    if is_inside_node:
        rate = scaleup_bytes_per_s(2, links)
        return links.nvlink_latency_s + num_bytes / rate
    is_near = 0 < span <= links.pod_gpus
    rate = links.nic_bytes_per_s / (1.0 if is_near else links.oversubscription)
    return links.nic_latency_s + num_bytes / rate
