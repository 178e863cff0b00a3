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

    Parameters
    ----------
    size : int
        Ranks of the group, positive.
    stride : int
        From one member's number to the next one's, positive.
    gpus_per_node : int
        GPUs of a scale-up domain, positive.

    Raises
    ------
    ValueError
        If a size is not positive.

    Notes
    -----
    ``min(size, max(1, gpus_per_node // stride))`` members share a node: ranks fill
    nodes in order (Megatron-LM's tp-cp-ep-dp-pp, innermost first).

    Examples
    --------
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

    Parameters
    ----------
    count : int
        Members in the domain, positive.
    links : Links
        Its topology and rates, B/s one way per GPU.

    Returns
    -------
    float
        B/s, one way per GPU.

    Notes
    -----
    Of the full rate: mesh ``(count - 1) / (domain - 1)``, torus ``axes used / axes``;
    PCIe ``min(rate, host / count)`` from three GPUs on.

    Examples
    --------
    Four of eight GPUs in a mesh of seven links each:

    >>> mesh = Links(8, 350e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0, topology="mesh")
    >>> scaleup_bytes_per_s(4, mesh) / 1e9
    150.0
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

    Parameters
    ----------
    count : int
        Members in the domain, positive.
    links : Links
        Its topology and rates, B/s one way per GPU.

    Returns
    -------
    float
        B/s, one way per GPU: :func:`scaleup_bytes_per_s`, in a torus at most the
        all-to-all's own rate.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0)
    >>> exchange_bytes_per_s(8, links) / 1e9
    450.0
    """
    rate = scaleup_bytes_per_s(count, links)
    if links.topology == "torus":
        return smallest(rate, links.all_to_all_bytes_per_s)
    return rate


def nic_bytes_per_s(members: Group, links: Links) -> float:
    """Return what one GPU sends to other nodes in a ring or tree over the group.

    Parameters
    ----------
    members : Group
        Its ranks; whether they fill whole nodes and how far they span decides.
    links : Links
        Rates at a NIC's own port, B/s, and how far the layers above are oversubscribed.

    Returns
    -------
    float
        B/s, one way per GPU.

    Notes
    -----
    ``nic / max(1, oversubscription / members in a pod)`` for a group that leaves its
    pod: beyond an oversubscribed layer only the flows that leave a pod are squeezed,
    one for each group, not one for each member.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0)
    >>> nic_bytes_per_s(group(16, 8, 8), links) / 1e9
    50.0
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
    """Return the bandwidth of one rank in a ring over the group.

    Parameters
    ----------
    members : Group
        Its ranks and how they sit on nodes.
    links : Links
        Rates, B/s one way per GPU.

    Returns
    -------
    float
        B/s: the scale-up links' inside a node; beyond, all NICs' of a node together,
        at most as much as the links inside carry.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0)
    >>> ring_bytes_per_s(group(16, 1, 8), links) / 1e9  # eight NICs a node
    400.0
    """
    inside = scaleup_bytes_per_s(min(members.size, members.per_node), links)
    if members.is_inside_node:
        return inside
    nics = num_nics(members, links) * nic_bytes_per_s(members, links)
    return smallest(inside, nics) if members.per_node > 1 else nics


def num_nics(members: Group, links: Links) -> int:
    """Return the NICs of a node that one ring or tree over the group keeps busy.

    Parameters
    ----------
    members : Group
        Its ranks on a node, each with a NIC of its own.
    links : Links
        Whose ``max_nics`` a collective uses at most.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0, max_nics=4)
    >>> num_nics(group(16, 1, 8), links), num_nics(group(16, 8, 8), links)
    (4, 1)
    """
    return min(members.per_node, links.max_nics or members.per_node)


def all_to_all_squeeze(span: int, links: Links) -> float:
    """Return by how much oversubscription slows what leaves the pods of an all-to-all.

    Parameters
    ----------
    span : int
        GPUs from the first member to the last, positive.
    links : Links
        Its oversubscription (1 and more), and GPUs of a pod.

    Returns
    -------
    float
        A factor of time, 1 and more.

    Notes
    -----
    ``max(1, oversubscription (1 - pod / span))``: a share ``1 - pod / span`` of the
    bytes leaves the pod.

    Examples
    --------
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

    Parameters
    ----------
    num_bytes : float
        Of the message, not negative.
    links : Links
        Rates in B/s and latencies in s.
    is_inside_node : bool
        Whether both GPUs share a scale-up domain.
    span : int
        Distance of the two GPUs; without it they sit in different pods.

    Notes
    -----
    ``latency + num_bytes / rate``, the rate over the oversubscription where the message
    leaves the pod. Range: one message at a time on the link; the engine queues them.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> f"{send_s(100e6, links, is_inside_node=False) * 1e3:.3f} ms"
    '2.005 ms'
    """
    if is_inside_node:
        rate = scaleup_bytes_per_s(2, links)
        return links.nvlink_latency_s + num_bytes / rate
    is_near = 0 < span <= links.pod_gpus
    rate = links.nic_bytes_per_s / (1.0 if is_near else links.oversubscription)
    return links.nic_latency_s + num_bytes / rate
