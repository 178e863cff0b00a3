"""Seconds of collectives and point-to-point transfers, as NCCL would run them.

Notation: ``n`` bytes of the full buffer, ``p`` ranks; a node is a scale-up domain.
Algorithms: a ring; a double tree over nodes; a reduction inside the switch (NVLink
SHARP, NVLS); a hierarchy, in the node by switch or ring and between nodes by a tree or
by switches that reduce; PAT, a logarithmic exchange of single GPUs. :func:`best` takes
the fastest, as NCCL's tuner means to. The legs of a path are pipelined: the slowest
counts.

The constants of a node are fitted to measured collectives (``benchmarks/``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, log2

from estimator.costs import protocols
from estimator.costs.groups import (
    Group,
    all_to_all_squeeze,
    group,
    nic_bytes_per_s,
    num_nics,
    ring_bytes_per_s,
    scaleup_bytes_per_s,
    send_s,
)
from estimator.costs.rates import Links
from estimator.ground.lanes import largest, smallest
from estimator.ground.registry import Registry

__all__ = [
    "Choice",
    "Group",
    "all_gather_s",
    "all_reduce_s",
    "best",
    "bus_bytes_per_s",
    "collective",
    "group",
    "ring_all_gather_s",
    "ring_all_reduce_s",
    "ring_bytes_per_s",
    "send_s",
]

LOW_LATENCY_PEER_BYTES = 16384
"""Up to this much for each peer an all-to-all uses LL: NCCL, ``P2P_LL_THRESHOLD``."""
MIN_SWITCH_RANKS = 5
"""Fewer ranks gain nothing from a switch that reduces, and NCCL 2.27 rings: ratios of
stas00/ml-engineering, network chapter (commit 744d01e), 4 to 8 GPUs."""
FACTORS = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1, "all_to_all": 1}
"""A rank's bytes on the wire over ``(p - 1) / p * n``: nccl-tests, PERFORMANCE.md."""

Seconds = Callable[[float, Group, Links], float]
collective: Registry[Seconds] = Registry("collective", package="")
"""Operation/algorithm -> seconds of (bytes of the full buffer, group, links); infinite
where the algorithm does not apply."""


def _ring_s(factor: int, num_bytes: float, members: Group, links: Links) -> float:
    if num_bytes < 0:
        raise ValueError(f"bytes are not negative, got {num_bytes}")
    if members.size == 1:
        return 0.0
    others = members.size - 1
    between = factor * (members.num_nodes - 1)
    part = num_bytes / members.size
    inside = factor * others - between
    steps_s = protocols.both_steps_s(inside, between, num_bytes, members, links, part)
    own_s = part / links.overheads.copy_bytes_per_s
    wire = factor * num_bytes * others / members.size
    rate = ring_bytes_per_s(members, links)
    return protocols.faster_protocol_s(
        (steps_s[0], steps_s[1] + own_s), wire, rate, links
    )


@collective("all_gather/ring")
@collective("reduce_scatter/ring")
def ring_all_gather_s(num_bytes: float, members: Group, links: Links) -> float:
    r"""Return the seconds of a ring all-gather, or of a reduce-scatter.

    Parameters
    ----------
    num_bytes : float
        Of the full buffer, n, not negative.
    members : Group
        The p ranks and how they sit on nodes; alone they take no time.
    links : Links
        Rates in B/s one way per GPU, latencies in s.

    Raises
    ------
    ValueError
        If there are fewer bytes than none.

    Notes
    -----
    .. math:: t = t_0 + (p - 1) \alpha(n / p) + \frac{p - 1}{p} \frac{n}{\beta}
        + \frac{n}{p \gamma}

    A rank's own part is copied at :math:`\gamma`, which is why two ranks reach a lower
    bus bandwidth than eight. Source: Thakur et al., "Optimization of Collective
    Communication Operations in MPICH," 2005; NCCL, ``src/graph/tuning.cc``.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> f"{ring_all_gather_s(1e9, group(8, 1, 8), links) * 1e3:.2f} ms"
    '1.94 ms'
    """
    return _ring_s(1, num_bytes, members, links)


@collective("all_reduce/ring")
def ring_all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of a ring all-reduce: two of :func:`ring_all_gather_s`."""
    return _ring_s(2, num_bytes, members, links)


@collective("all_reduce/tree")
def tree_all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of a double tree over nodes, with a chain inside each.

    Parameters
    ----------
    num_bytes, members, links
        As of :func:`ring_all_gather_s`.

    Notes
    -----
    ``t0 + 2 (k - 1) alpha + 2 log2(N) alpha_net + 2 n / (tree beta)`` with k ranks on
    each of N nodes: for small messages of many nodes. Source: Sanders, Speck and
    Traeff, "Two-tree algorithms," 2009; NCCL, likewise.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0, tree=0.92)
    >>> f"{tree_all_reduce_s(1e9, group(64, 8, 8), links) * 1e3:.2f} ms"
    '43.98 ms'
    """
    if members.size == 1:
        return 0.0
    chain = 2 * (min(members.size, members.per_node) - 1)
    between = 2 * log2(members.num_nodes)
    steps_s = protocols.both_steps_s(
        chain, between, num_bytes, members, links, num_bytes
    )
    rate = links.tree * ring_bytes_per_s(members, links)
    return protocols.faster_protocol_s(steps_s, 2 * num_bytes, rate, links)


@collective("all_reduce/switch")
def switch_all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    r"""Return the seconds of an all-reduce inside the switch (NVLS).

    Parameters
    ----------
    num_bytes, members, links
        As of :func:`ring_all_gather_s`; infinite beyond a node, with fewer ranks than
        :data:`MIN_SWITCH_RANKS`, or where the switch does not reduce.

    Notes
    -----
    .. math:: t = t_0 + 2 (p - 1) \alpha(n / p) + \frac{n (1 + 1/p)}{\beta}

    The switch reads a part from every rank, adds, and writes it to every rank: a link
    carries the message and one rank's part of it, so the *bus* bandwidth, counted as
    for a ring, exceeds the link's own. One share of the wire meets 5 to 8 GPUs.

    Examples
    --------
    >>> wires = (8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> links = Links(*wires, switch_reduction_bytes_per_s=360e9)
    >>> f"{switch_all_reduce_s(1e9, group(8, 1, 8), links) * 1e3:.2f} ms"
    '3.12 ms'
    """
    if members.size == 1:
        return 0.0
    if not members.is_inside_node or members.size < MIN_SWITCH_RANKS:
        return inf
    if not links.switch_reduction_bytes_per_s:
        return inf
    return _in_node_s(num_bytes, members.size, links)


def _in_node_s(num_bytes: float, count: int, links: Links) -> float:
    """Return the seconds of reducing and spreading among ``count`` ranks of a node."""
    known, rate = links.overheads, links.switch_reduction_bytes_per_s
    steps_s = 2 * (count - 1) * protocols.fill_s(num_bytes / count, links)
    if rate and count >= MIN_SWITCH_RANKS:
        wire_s = num_bytes * (1 + 1 / count) / rate
        steps_s += known.switch_reduction_s
    else:
        wire_s = 2 * num_bytes * (count - 1) / count / scaleup_bytes_per_s(count, links)
        steps_s += 2 * (count - 1) * known.step_s
    return known.launch_s + known.simple_s + steps_s + wire_s


@collective("all_reduce/hierarchical")
def hierarchical_all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of an all-reduce in the nodes and, beside it, between them.

    Parameters
    ----------
    num_bytes, members, links
        As of :func:`ring_all_gather_s`; infinite in one node and with one rank on each.

    Notes
    -----
    Each NIC carries its part of the buffer up and down a tree (NCCL's NVLSTree); two
    nodes exchange halves; switches that reduce (SHARP) need it once.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> f"{hierarchical_all_reduce_s(1e9, group(64, 1, 8), links) * 1e3:.2f} ms"
    '5.25 ms'
    """
    if members.size == 1:
        return 0.0
    count, num_nodes = members.per_node, members.num_nodes
    if members.is_inside_node or count == 1:
        return inf
    passes = 1 if links.has_net_reduction or num_nodes == 2 else 2
    nics = num_nics(members, links) * nic_bytes_per_s(members, links)
    between_s = passes * num_bytes / nics
    inside_s = _in_node_s(num_bytes, count, links)
    latency_s = _in_node_s(0.0, count, links)
    if links.has_net_reduction:  # packets are added as they pass
        steps_s = 2 * links.overheads.net_step_s
    else:
        steps_s = 2 * log2(num_nodes) * protocols.forward_s(num_bytes, members, links)
    return largest(inside_s, latency_s + between_s) + steps_s


@collective("all_gather/pat")
@collective("reduce_scatter/pat")
def pat_all_gather_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of PAT, for groups with one GPU on each node.

    Parameters
    ----------
    num_bytes, members, links
        As of :func:`ring_all_gather_s`; infinite with two members on a node.

    Notes
    -----
    ``t0 + ceil(log2 p) alpha + n (p - 1) / p / (pat nic)``. Parallel aggregated trees:
    Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter," 2025; three
    quarters of the wire (NCCL, ``tuning.cc``).

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0, pat=0.75)
    >>> f"{pat_all_gather_s(1e9, group(64, 8, 8), links) * 1e3:.2f} ms"
    '26.25 ms'
    """
    if members.size == 1:
        return 0.0
    if members.per_node > 1:
        return inf
    known = links.overheads
    wire = num_bytes * (members.size - 1) / members.size
    rate = links.pat * nic_bytes_per_s(members, links)
    hops_s = ceil(log2(members.size)) * known.net_step_s
    return known.launch_s + known.simple_s + hops_s + wire / rate


@collective("all_to_all/direct")
def direct_all_to_all_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of a flat all-to-all of ``n`` bytes in and out of each rank.

    Every rank sends ``n / p`` to each other one, all at once: what stays in the node
    over the scale-up links, the rest over the rank's own NIC; the slower counts.

    Parameters
    ----------
    num_bytes, members, links
        As of :func:`ring_all_gather_s`.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> f"{direct_all_to_all_s(1e9, group(64, 1, 8), links) * 1e3:.2f} ms"
    '17.50 ms'
    """
    if members.size == 1:
        return 0.0
    known, near = links.overheads, min(members.size, members.per_node)
    part = num_bytes / members.size
    rate = smallest(links.all_to_all_bytes_per_s, scaleup_bytes_per_s(near, links))
    inside_s = part * (near - 1) / rate
    net_s = between_s = 0.0
    if not members.is_inside_node:
        net_s = known.net_step_s
        between_s = part * (members.size - near) / links.nic_bytes_per_s
        between_s *= all_to_all_squeeze(members.span or members.size, links)
    start_s = known.launch_s + known.step_s + net_s
    fill_s = known.simple_s + protocols.fill_s(part, links)
    wire_s = largest(inside_s, between_s)
    simple_s = start_s + fill_s + wire_s + part / known.copy_bytes_per_s
    if part > LOW_LATENCY_PEER_BYTES:
        return simple_s
    low_s = (
        part * (members.size - 1) / smallest(known.low_latency_bytes_per_s, rate / 2)
    )
    return smallest(simple_s, start_s + largest(low_s, 2 * between_s))


@dataclass(frozen=True)
class Choice:
    """The algorithm that is predicted, and what it takes."""

    algorithm: str
    seconds: float


def best(operation: str, num_bytes: float, members: Group, links: Links) -> Choice:
    """Return the fastest algorithm of ``all_reduce``, ``all_gather``, ...

    Parameters
    ----------
    operation : str
        A key of :data:`FACTORS`.
    num_bytes, members, links
        As of :func:`ring_all_gather_s`.

    Raises
    ------
    ValueError
        If the operation is not known, or bytes are negative.

    Examples
    --------
    >>> links = Links(8, 450e9, 1e-6, 50e9, 5e-6, 50e9, 50e9, 0.0)
    >>> best("all_reduce", 1e9, group(64, 8, 8), links).algorithm
    'all_reduce/tree'
    """
    if operation not in FACTORS or num_bytes < 0:
        raise ValueError(f"no {operation!r} of {num_bytes} bytes")
    names = [name for name in collective if name.startswith(f"{operation}/")]
    choices = (
        Choice(name, collective[name](num_bytes, members, links)) for name in names
    )
    return min(choices, key=lambda choice: choice.seconds)


def all_reduce_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of the fastest all-reduce: :func:`best`, which see."""
    return best("all_reduce", num_bytes, members, links).seconds


def all_gather_s(num_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of the fastest all-gather, or reduce-scatter: :func:`best`."""
    return best("all_gather", num_bytes, members, links).seconds


def bus_bytes_per_s(
    operation: str, num_bytes: float, size: int, seconds: float
) -> float:
    """Return nccl-tests' bus bandwidth of an operation.

    Parameters
    ----------
    operation : str
        A key of :data:`FACTORS`.
    num_bytes : float
        Of the full buffer.
    size : int
        Ranks.
    seconds : float
        That it took, positive.

    Notes
    -----
    ``factor num_bytes (p - 1) / p / seconds``: nccl-tests, PERFORMANCE.md.

    Examples
    --------
    >>> bus_bytes_per_s("all_reduce", 8e9, 8, 2.0)
    7000000000.0
    """
    return FACTORS[operation] * num_bytes * (size - 1) / size / seconds
