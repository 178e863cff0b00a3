"""Context parallelism: what a rank's attention becomes when others hold the rest.

Each rank holds two chunks of a sequence, one from its front and one from its end, so
that all do the same work under a causal mask. In a ring it meets its own keys and
values in one masked kernel, and those of each other rank in a kernel without a mask:
all its queries with half of the keys, or half of them with all. Partial results are
merged by their log-sum-exp, and the gradients of keys and values add up on their way
home. Gathered whole, keys and values need no merging: each chunk of queries is one
kernel.

The slowest rank counts. Forward it is the last, whose queries all take part in each
step; backward the first, which meets all keys.

Sources: NVIDIA/TransformerEngine (commit d0067d0, ``pytorch/attention/
dot_product_attention/context_parallel.py``, ``AttnFuncWithCPAndKVP2P`` and
``AttnFuncWithCPAndKVAllGather``); pytorch/pytorch (commit 0123248,
``torch/distributed/tensor/experimental/_attention.py``).
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from estimator.ground.lanes import largest
from estimator.workload.work import AttentionCore, Segment, Sizes, Traffic

COPY = 4
"""Bytes per element of a copy, 16 bits in and out."""


class Merging(NamedTuple):
    """What each step beyond the first moves, in bytes per element, and launches."""

    out: int
    """Of the result, forward."""
    kv: int
    """Of a rank's keys and values, forward."""
    d_q: int
    d_kv: int
    ends: int
    """Once a pass, of what is merged: where the sums begin, or end in 16 bits."""
    num_kernels: int
    num_backward: int


IN_16_BITS = Merging(out=6, kv=0, d_q=3, d_kv=6, ends=4, num_kernels=4, num_backward=3)
"""Transformer Engine: a step's result is weighed and added in one kernel, its
statistics in another; backward the gradients of half of the queries and of all keys and
values are added. With the sequence first, halves are no copies."""
IN_FP32 = Merging(out=10, kv=0, d_q=9, d_kv=10, ends=6, num_kernels=2, num_backward=3)
"""PyTorch's ring in a compiled program: FP32 sums, a kernel each; what is added to a
part writes the whole."""
IN_FP32_EAGER = Merging(
    out=38, kv=4, d_q=13, d_kv=18, ends=6, num_kernels=12, num_backward=8
)
"""The same operation by operation: to FP32 6, two differences and a product 32; keys
and values are joined into one buffer again in each step, their gradients, too."""


def parts(size: Sizes, whole: AttentionCore) -> Segment:
    """Return the kernels that take the place of one over a rank's whole share.

    Parameters
    ----------
    size : Sizes
        One rank's share; its plan says how many ranks exchange, and how.
    whole : AttentionCore
        The kernel that one rank would run on its tokens against all keys.

    Returns
    -------
    tuple of kernels
        With the same FLOP in all; shorter, and with copies and sums beside.
    """
    if size.software.communication.context_exchange == "all-gather":
        return _gathered(size, whole)
    return _ring(size, whole)


def _ring(size: Sizes, whole: AttentionCore) -> Segment:
    """Return one masked kernel, those beside other ranks' keys, and what merges them.

    A window reaches the nearest ranks only. Transformer Engine's forward kernels
    alternate between two streams, so that the last wave of one runs beside the next.
    """
    length = ceil(size.seq_len / size.plan.cp)
    num_steps = min(size.plan.cp, 1 + ceil(whole.seq_len / length))
    own = whole._replace(
        flop=whole.flop / num_steps, seq_len=min(whole.seq_len, length)
    )
    if size.software.communication.context_sums == "bf16" and not whole.is_backward:
        own = own._replace(num_rows=whole.num_rows * num_steps)  # on two streams
    other = own._replace(
        name=f"{whole.name} to other ranks",
        seq_len=max(1, own.seq_len // 2),
        is_full=True,
    )
    merged = _merged(size, num_steps - 1, is_backward=whole.is_backward)
    return (own, *((other,) * (num_steps - 1)), merged)


def _merged(size: Sizes, num_merges: int, *, is_backward: bool) -> Traffic:
    """Return the copies and sums of a ring's steps, beyond what attention writes."""
    attention, each, kv = size.model.attention, merging(size), kv_width(size)
    query, out = (size.heads * width for width in (attention.qk_dim, attention.v_dim))
    if is_backward:
        name, launched = "sums of gradients from ranks", each.num_backward
        moved, ends = each.d_q * query + each.d_kv * kv, each.ends * (query + kv)
    else:
        name, launched = "merge of partial results", each.num_kernels
        moved, ends = each.out * out + each.kv * kv, each.ends * out
    ends += COPY * kv  # joined to travel together
    total = float(size.tokens) * (num_merges * moved + ends)
    return Traffic(name, total, num_merges * launched + 2, "triad")


def merging(size: Sizes) -> Merging:
    """Return what each step of a ring costs beside its kernel, in bytes per element.

    By the plan of ``size``: sums in 16 bits are Transformer Engine's, in FP32
    PyTorch's, compiled where norms are fused.
    """
    if size.software.communication.context_sums == "bf16":
        return IN_16_BITS
    return IN_FP32 if size.software.kernels.fused_norms else IN_FP32_EAGER


def _gathered(size: Sizes, whole: AttentionCore) -> Segment:
    """Return a kernel for either chunk, and the copies of gathered keys and values.

    What is gathered is brought into the order of the sequence. Backward this happens
    again, the gradients of either chunk are added, and brought into that of the ranks.
    The kernels run on two streams, so that one fills what the other leaves idle.
    """
    each = whole._replace(flop=whole.flop / 2)
    ways = COPY + (6 + COPY if whole.is_backward else 0)
    moved = float(ways) * size.tokens * size.plan.cp * kv_width(size)
    return (each, each, Traffic("order of gathered keys", moved, 4, "plain"))


def kv_width(size: Sizes) -> int:
    """Return the elements of a token's keys and values on one rank.

    ``heads (dqk + dv)`` of the key-value heads that the rank of ``size`` reads.
    """
    attention = size.model.attention
    return size.read_kv_heads * (attention.qk_dim + attention.v_dim)


def exposed_s(
    size: Sizes, exchange_s: float, attention_s: float, *, is_backward: bool
) -> float:
    """Return the seconds of a layer's exchange that attention does not hide.

    Parameters
    ----------
    size : Sizes
        One rank's share; its plan says how keys and values travel.
    exchange_s : float
        In which keys and values of all other ranks arrive once, in 16 bits.
    attention_s : float
        Of the pass's attention kernels.
    is_backward : bool
        Gradients travel as well, in their own format.

    Notes
    -----
    ``max(0, ways exchange_s - attention_s (cp - 1) / cp)``: in a ring each of cp - 1
    transfers runs beside one of cp kernels. ``ways`` is 1 forward; backward 2, or 3
    with FP32 sums. Attention that runs once more exchanges once more.
    """
    plan, communication = size.plan, size.software.communication
    ways = 1.0
    if is_backward:
        ways += 2.0 if communication.context_sums == "fp32" else 1.0
        ways += "core_attn" in size.recompute
    is_ring = communication.context_exchange == "ring"
    if not is_ring or not communication.context:
        return ways * exchange_s
    beside_s = attention_s * (plan.cp - 1) / plan.cp
    return largest(0.0, ways * exchange_s - beside_s)
