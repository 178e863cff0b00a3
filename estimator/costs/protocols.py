"""Steps of a collective as a protocol takes them, and the faster of two protocols.

A node passes on a slice of the message once it has all of it, so a step between nodes
lasts as long as the slice's transfer, too.

Small messages go with flags beside the data (protocol LL): a low floor, a fraction of
the wire. Large ones go in chunks (Simple), whose steps last longer as chunks fill.
"""

from __future__ import annotations

from estimator.costs.groups import Group, nic_bytes_per_s, num_nics
from estimator.costs.rates import Links
from estimator.ground.lanes import smallest

NET_SLICE_BYTES = 2**20
"""What protocol Simple hands to the network at a time: two of the eight steps of a
4 MiB buffer (NCCL ``src/include/collectives.h``, ``ALLREDUCE_SLICESTEPS``;
``src/init.cc``, ``DEFAULT_BUFFSIZE``; commit 5067397)."""
NET_CHANNELS = 2
"""Channels that share a NIC: NCCL, ``src/graph/connect.cc``, doubles those found."""


def fill_s(part_bytes: float, links: Links) -> float:
    """Return the seconds that a step of protocol Simple adds for these chunks.

    Parameters
    ----------
    part_bytes : float
        What a rank passes on in one step, n / p, not negative.
    links : Links
        Whose overheads hold the seconds of a full chunk, and what half of them take.

    Notes
    -----
    ``chunk_s x / (x + chunk_bytes)``, from 0 to ``chunk_s``.

    Examples
    --------
    >>> from estimator.costs.overheads import Overheads
    >>> known = Overheads(chunk_s=4e-6, chunk_bytes=1e6)
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0, overheads=known)
    >>> fill_s(1e6, links)
    2e-06
    """
    known = links.overheads
    return known.chunk_s * part_bytes / (part_bytes + known.chunk_bytes)


def forward_s(sent_bytes: float, members: Group, links: Links) -> float:
    """Return the seconds of a step between nodes: the next waits for a whole slice.

    Parameters
    ----------
    sent_bytes : float
        Leave the node in the step, over all its NICs.
    members : Group
        How many of its NICs are busy.
    links : Links
        A NIC's rate in B/s, and the seconds of a step.

    Notes
    -----
    ``net_step_s + min(sent / (2 nics), 1 MiB) 2 / nic``: two channels share a NIC, a
    slice is :data:`NET_SLICE_BYTES` at most.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0)
    >>> f"{forward_s(1e9, Group(16, 8), links) * 1e6:.1f} us"
    '41.9 us'
    """
    channels = NET_CHANNELS * num_nics(members, links)
    held = smallest(sent_bytes / channels, NET_SLICE_BYTES)
    slice_s = held * NET_CHANNELS / nic_bytes_per_s(members, links)
    return links.overheads.net_step_s + slice_s


def both_steps_s(
    inside: float,
    between: float,
    num_bytes: float,
    members: Group,
    links: Links,
    sent_bytes: float,
) -> tuple[float, float]:
    """Return the seconds of steps inside and between nodes: LL, and Simple.

    Parameters
    ----------
    inside, between : float
        Steps of either kind, one after the other.
    num_bytes : float
        Of the full buffer.
    members : Group
        Ranks that take a part each.
    links : Links
        Seconds of a step of either kind.
    sent_bytes : float
        Leave a node in a step between nodes.

    Examples
    --------
    >>> from estimator.costs.overheads import Overheads
    >>> known = Overheads(step_s=1e-6, simple_s=5e-6)
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0, overheads=known)
    >>> both_steps_s(7, 0, 1e6, Group(8, 8), links, 0.0)
    (7e-06, 1.2e-05)
    """
    known = links.overheads
    step_s = known.step_s + fill_s(num_bytes / members.size, links)
    net_s = between and between * forward_s(sent_bytes, members, links)
    return (
        inside * known.step_s + between * known.net_step_s,
        known.simple_s + inside * step_s + net_s,
    )


def faster_protocol_s(
    steps_s: tuple[float, float], num_bytes: float, rate: float, links: Links
) -> float:
    """Return the seconds of the faster protocol; LL sends as many flags as data.

    Parameters
    ----------
    steps_s : tuple of float
        What :func:`both_steps_s` returns: seconds of LL's steps, and of Simple's.
    num_bytes : float
        On a rank's wire.
    rate : float
        Of protocol Simple, B/s.
    links : Links
        LL's rate, at most half of Simple's, and the seconds of a launch.

    Notes
    -----
    ``launch_s + min(LL + n / min(low, rate / 2), Simple + n / rate)``.

    Examples
    --------
    >>> links = Links(8, 450e9, 0.0, 50e9, 0.0, 50e9, 50e9, 0.0)
    >>> faster_protocol_s((0.0, 1e-3), 1e6, 1e9, links)  # small: twice the wire is less
    0.002
    """
    known = links.overheads
    low_rate = smallest(known.low_latency_bytes_per_s, rate / 2)
    low_s, simple_s = steps_s
    return known.launch_s + smallest(
        low_s + num_bytes / low_rate, simple_s + num_bytes / rate
    )
