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


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the tokens of one rank send to their experts, and get back."""

    num_tokens: int
    """That the rank routes, of one micro-batch and layer."""
    hidden_size: int
    """Elements of a token."""
    experts_per_token: int
    """Experts that each token is sent to (top-k)."""
    dispatch_bytes: float
    """Of an element on the way out: 1 + 4/128 in FP8 with a scale for 128, 2 in BF16.
    """
    combine_bytes: float
    """Of an element on the way back: 2 in BF16."""
    imbalance: float = 1.0
    """Tokens of the busiest rank over the mean, 1 or more."""

    @property
    def row_out_bytes(self) -> float:
        """A token on its way out, with weight and index of each of its experts."""
        extra = INDEX_BYTES * self.experts_per_token
        return self.hidden_size * self.dispatch_bytes + extra

    @property
    def row_back_bytes(self) -> float:
        """A token on its way back, with a weight for each of its experts."""
        return self.hidden_size * self.combine_bytes + 4 * self.experts_per_token


@dataclass(frozen=True)
class ExpertRanks:
    """Where the experts of a layer lie, and how far its tokens spread over them."""

    num_ranks: int
    """GPUs that the experts are divided among (ep)."""
    num_nodes: int
    """Scale-up domains that these lie in."""
    places: Spread
    """Nodes and ranks that a token visits on average."""


def all_to_all(links: Links, sent: Sent, among: ExpertRanks) -> AllToAll:
    r"""Return the seconds that one rank's tokens take to their experts and back.

    With T tokens, rows of :math:`b` bytes, imbalance :math:`i`, and for a token
    :math:`v_n` nodes visited of N and :math:`v_r` ranks visited, each way takes

    .. math:: t = i\, T\, b \max\left(\frac{s\, v_n (N - 1) / N}{B_{fabric}},
        \frac{v_r}{B_{NVLink}}\right)

    since rows for the own node stay there, and both legs are pipelined; :math:`s` is by
    how much oversubscribed layers of the fabric slow it.

    Parameters
    ----------
    links : Links
        Rates one way in B/s, per GPU: ``dispatch_bytes_per_s`` and
        ``combine_bytes_per_s`` over the fabric, and of the scale-up domain; the skew of
        ranks in s.
    sent : Sent
        Tokens, elements, and bytes of an element.
    among : ExpertRanks
        Ranks, nodes, and what a token visits of them.

    Returns
    -------
    AllToAll
        Seconds, waits in front of them in s, and bytes of the busiest rank.

    Notes
    -----
    Range: DeepEP's kernels on H800s from 8 to 64 ranks, 4,096 tokens of 7,168 elements,
    top-8 in 4 of 8 groups, within 15 % of its published rates (``docs/legacy.md``). On
    one node rows for the own rank pass through the same buffers and count (EP8: 153 and
    158 of 160 GB/s). Ranks that do not divide over the nodes, and GPUs whose links
    differ from rank to rank, are outside of it. A single rank exchanges nothing.

    References
    ----------
    .. [1] DeepSeek-AI, DeepEP, commit dd758ca, ``docs/legacy.md``.
    .. [2] DeepSeek-AI, "DeepSeek-V3 Technical Report," arXiv 2412.19437, section 3.2.2.

    Examples
    --------
    >>> links = Links(8, 160e9, 0.0, 50e9, 0.0, 40e9, 40e9, 0.0)
    >>> sent = Sent(
    ...     num_tokens=4096,
    ...     hidden_size=7168,
    ...     experts_per_token=8,
    ...     dispatch_bytes=1 + 4 / 128,
    ...     combine_bytes=2.0,
    ... )
    >>> made = all_to_all(links, sent, ExpertRanks(64, 8, spread(256, 8, 8, 64, 8, 4)))
    >>> round(made.dispatch_s * 1e3, 2), round(made.combine_s * 1e3, 2)  # ms
    (2.65, 5.09)
    """
    num_ranks, num_nodes, places = among.num_ranks, among.num_nodes, among.places
    if num_ranks == 1:
        return AllToAll(0.0, 0.0)
    near = exchange_bytes_per_s(max(1, num_ranks // num_nodes), links)
    crossing = places.nodes * (num_nodes - 1) / num_nodes
    remote = crossing * all_to_all_squeeze(num_ranks, links)
    local = places.ranks if num_ranks > num_nodes else 0.0
    num_tokens, out, back = sent.num_tokens, sent.row_out_bytes, sent.row_back_bytes
    dispatch_s = largest(
        num_tokens * remote * out / links.dispatch_bytes_per_s,
        num_tokens * local * out / near,
    )
    combine_s = largest(
        num_tokens * remote * back / links.combine_bytes_per_s,
        num_tokens * local * back / near,
    )
    sent_bytes = num_tokens * (crossing or local) * out * sent.imbalance
    back_bytes = num_tokens * (crossing or local) * back * sent.imbalance
    return AllToAll(
        dispatch_s * sent.imbalance,
        combine_s * sent.imbalance,
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
