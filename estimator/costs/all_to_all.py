"""Expert dispatch and combine, with routing limited to some groups of experts.

A token goes over the fabric once to each node that holds one of its experts, to the
GPU of its own rail there, and from it over NVLink to the GPUs that hold them. The two
legs are pipelined: the slower one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np

from estimator.costs.groups import all_to_all_squeeze, exchange_bytes_per_s
from estimator.costs.rates import Links
from estimator.ground.lanes import largest

SAMPLED_TOKENS = 4000
INDEX_BYTES = 12
"""Per routed expert and token: a weight (4) and an index (8), sent with the token."""


@dataclass(frozen=True)
class Spread:
    """How many places a token visits on average."""

    nodes: float
    """Distinct nodes, its own among them where an expert of its own node is chosen."""
    ranks: float
    """Distinct ranks."""


def expected_distinct(num_places: int, items_per_place: int, num_drawn: int) -> float:
    """Return the expected places among ``num_drawn`` distinct items drawn evenly.

    Parameters
    ----------
    num_places : int
        Nodes or ranks, M, positive.
    items_per_place : int
        Experts on each, e, positive.
    num_drawn : int
        Distinct experts of a token, k; at most all ``M e``.

    Notes
    -----
    Hypergeometric: ``M (1 - C((M - 1) e, k) / C(M e, k))``.

    Examples
    --------
    >>> round(expected_distinct(8, 32, 8), 3)  # 256 experts on 8 nodes, top-8
    5.295
    """
    total = num_places * items_per_place
    missed = comb(total - items_per_place, num_drawn) / comb(total, num_drawn)
    return num_places * (1 - missed)


@lru_cache(maxsize=64)
def spread(
    num_experts: int,
    experts_per_token: int,
    num_nodes: int,
    num_ranks: int,
    num_groups: int = 1,
    groups_per_token: int = 1,
) -> Spread:
    """Return the nodes and ranks that a token visits.

    Parameters
    ----------
    num_experts, experts_per_token : int
        Routed experts, and those that a token is sent to.
    num_nodes, num_ranks : int
        Among which the experts are divided evenly; both divide ``num_experts``.
    num_groups, groups_per_token : int
        Groups of experts, and how many of them a token may use.

    Notes
    -----
    Without group limits the choice is even and the answer exact
    (:func:`expected_distinct`). With them, as in DeepSeek-V3 (arXiv 2412.19437, section
    2.1.2), the groups with the largest sum of their two best affinities are taken, then
    the best experts inside: affinities are drawn independently (fixed seed,
    :data:`SAMPLED_TOKENS` tokens), which gives 3.96 nodes of at most 4 for DeepSeek-V3
    and is the same within 0.5 % for normal, uniform or heavy tails.

    Examples
    --------
    >>> round(spread(256, 8, num_nodes=8, num_ranks=64).nodes, 3)
    5.295
    >>> round(spread(256, 8, 8, 64, num_groups=8, groups_per_token=4).nodes, 2)
    3.95
    """
    per_node, per_rank = num_experts // num_nodes, num_experts // num_ranks
    if groups_per_token >= num_groups:
        return Spread(
            expected_distinct(num_nodes, per_node, experts_per_token),
            expected_distinct(num_ranks, per_rank, experts_per_token),
        )
    rng = np.random.default_rng(0)
    scores = rng.random(
        (SAMPLED_TOKENS, num_groups, num_experts // num_groups), dtype=np.float32
    )
    best = np.partition(scores, -2, axis=2)[:, :, -2:].sum(axis=2)
    kept = np.argpartition(-best, groups_per_token - 1, axis=1)[:, :groups_per_token]
    allowed = np.zeros((SAMPLED_TOKENS, num_groups), dtype=bool)
    np.put_along_axis(allowed, kept, values=True, axis=1)
    scores[~allowed] = -1.0
    flat = scores.reshape(SAMPLED_TOKENS, num_experts)
    chosen = np.argpartition(-flat, experts_per_token - 1, axis=1)
    chosen = chosen[:, :experts_per_token]
    return Spread(
        _distinct(chosen // per_node, num_nodes),
        _distinct(chosen // per_rank, num_ranks),
    )


def _distinct(
    places: np.ndarray[tuple[int, int], np.dtype[np.intp]], count: int
) -> float:
    seen = np.zeros((len(places), count), dtype=bool)
    np.put_along_axis(seen, places, values=True, axis=1)
    return float(seen.sum(axis=1).mean())


@dataclass(frozen=True)
class AllToAll:
    """Seconds of one layer's exchanges; dispatch and combine swap roles backward."""

    dispatch_s: float
    combine_s: float
    dispatch_wait_s: float = 0.0
    """Mean wait in front of it."""
    combine_wait_s: float = 0.0
    dispatch_bytes: float = 0.0
    combine_bytes: float = 0.0
    """What the busiest rank sends over the fabric; over NVLink where one node is all.
    """


def all_to_all(
    links: Links,
    *,
    num_tokens: int,
    hidden_size: int,
    experts_per_token: int,
    num_ranks: int,
    num_nodes: int,
    places: Spread,
    dispatch_bytes: float,
    combine_bytes: float,
    imbalance: float = 1.0,
) -> AllToAll:
    """Return the seconds that one rank's tokens take to their experts and back.

    Parameters
    ----------
    num_tokens : int
        Tokens of one rank.
    dispatch_bytes, combine_bytes : float
        Bytes per element on the way out and back (FP8 with scales 1 + 4/128, BF16 2).
    imbalance : float
        Tokens of the busiest rank over the mean.

    Notes
    -----
    On the wire go ``tokens * nodes * (N - 1) / N`` rows for N nodes, since the own
    node needs none; over NVLink ``tokens * ranks`` rows, the own rank's among them,
    which pass through the same buffers (DeepEP at EP8: 153 and 158 of 160 GB/s).
    """
    if num_ranks == 1:
        return AllToAll(0.0, 0.0)
    near = exchange_bytes_per_s(max(1, num_ranks // num_nodes), links)
    extra = INDEX_BYTES * experts_per_token
    crossing = places.nodes * (num_nodes - 1) / num_nodes
    remote = crossing * all_to_all_squeeze(num_ranks, links)
    local = places.ranks if num_ranks > num_nodes else 0.0
    out = hidden_size * dispatch_bytes + extra
    back = hidden_size * combine_bytes + 4 * experts_per_token
    dispatch_s = largest(
        num_tokens * remote * out / links.dispatch_bytes_per_s,
        num_tokens * local * out / near,
    )
    combine_s = largest(
        num_tokens * remote * back / links.combine_bytes_per_s,
        num_tokens * local * back / near,
    )
    sent_bytes = num_tokens * (crossing or local) * out * imbalance
    back_bytes = num_tokens * (crossing or local) * back * imbalance
    return AllToAll(
        dispatch_s * imbalance,
        combine_s * imbalance,
        wait_of_exchange_s(links, sent_bytes, num_nodes),
        wait_of_exchange_s(links, back_bytes, num_nodes),
        sent_bytes,
        back_bytes,
    )


def wait_of_exchange_s(links: Links, num_bytes: float, num_nodes: int) -> float:
    """Return the mean wait in front of an exchange.

    It grows with the bytes that a rank sends over the fabric and, linearly in between,
    with the nodes: none on one, a share (:attr:`InSitu.few_nodes_skew`) on two to four,
    all of what was measured (:attr:`InSitu.rank_skew_s`) on eight.

    Parameters
    ----------
    links : Links
        With the wait that was measured, in s, and the bytes that were sent meanwhile.
    num_bytes : float
        That a rank sends over the fabric.
    num_nodes : int
        Scale-up domains that the exchange spans, positive.

    Raises
    ------
    ValueError
        If ``num_nodes`` is not positive.

    Examples
    --------
    >>> ways = Links(8, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 2e-3, 155e6, 0.08)
    >>> wait_of_exchange_s(ways, 155e6, 8), wait_of_exchange_s(ways, 155e6, 1)
    (0.002, 0.0)
    """
    if num_nodes < 1:
        raise ValueError(f"num_nodes must be positive, got {num_nodes}")
    if num_nodes == 1:
        return 0.0
    few = links.few_nodes_skew
    share = few + (1 - few) * min(1.0, max(0.0, (num_nodes - 4) / (8 - 4)))
    return links.rank_skew_s * share * num_bytes / links.skew_bytes
