"""FLOP and seconds of an attention kernel, forward and backward."""

from __future__ import annotations

from math import inf

from estimator.costs.rates import Device
from estimator.ground.lanes import largest


def attention_flop(
    num_sequences: int,
    seq_len: int,
    num_heads: int,
    qk_dim: int,
    v_dim: int,
    *,
    is_causal: bool = True,
) -> float:
    """Return the FLOP of one layer's attention, forward pass, projections apart.

    Scores are ``(B, H, S, Dqk) @ (B, H, Dqk, S)``, then ``(B, H, S, S) @ (B, H, S,
    Dv)``. Sharing K and V between heads saves bytes, not FLOP.

    Parameters
    ----------
    num_sequences, seq_len, num_heads : int
        B, S in tokens, and H of the queries; positive.
    qk_dim, v_dim : int
        Width of a head's keys (and queries), and of its values; elements, positive.
    is_causal : bool
        Whether later tokens are masked.

    Raises
    ------
    ValueError
        If a size is not positive.

    Notes
    -----
    ``2 B H S^2 (Dqk + Dv)``, half of it where causal. Matrix products only; a softmax
    adds about 1 % at D = 128. ``is_causal`` halves the count, as kernels that skip
    masked blocks do; the exact share is (S + 1) / 2S. Source: Korthikanti et al.,
    MLSys 2023, appendix A.

    Examples
    --------
    >>> attention_flop(1, 8192, 128, 128, 128) / 1e12  # Llama 3.1 405B
    2.199023255552
    """
    sizes = (num_sequences, seq_len, num_heads, qk_dim, v_dim)
    if min(sizes) <= 0:
        raise ValueError(f"sizes must be positive, got {sizes}")
    full = 2.0 * num_sequences * num_heads * seq_len**2 * (qk_dim + v_dim)
    return full / 2 if is_causal else full


def attention_backward_flop(forward_flop: float, qk_dim: int, v_dim: int) -> float:
    """Return the FLOP of attention's backward pass, scores recomputed.

    Parameters
    ----------
    forward_flop : float
        Of the forward pass (:func:`attention_flop`), FLOP.
    qk_dim, v_dim : int
        Width of a head's keys and of its values; elements, positive.

    Notes
    -----
    Five products instead of two, scores again, dV, dP, dQ, dK: ``forward (3 Dqk +
    2 Dv) / (Dqk + Dv)``. Range: kernels that keep no scores. Source: Dao,
    FlashAttention-2, 2023.

    Examples
    --------
    >>> attention_backward_flop(2.0, 128, 128)
    5.0
    """
    return forward_flop * (3 * qk_dim + 2 * v_dim) / (qk_dim + v_dim)


def attention_s(
    device: Device,
    flop: float,
    seq_len: int,
    num_rows: float = inf,
    *,
    is_backward: bool = False,
    is_wide: bool = False,
    is_full: bool = False,
    kernel: str = "fused",
) -> float:
    """Return the seconds of an attention kernel of ``flop``.

    Parameters
    ----------
    device : Device
        Its attention rates in FLOP/s, and where they saturate.
    flop : float
        Of the kernel; masked blocks not counted.
    seq_len : int
        Keys that a row of queries meets at most, tokens, positive.
    num_rows : float
        Query heads times tokens on this rank, positive; enough by default.
    is_backward : bool
        The backward pass, whose ``flop`` are :func:`attention_backward_flop`.
    is_wide : bool
        Keys are wider than values, as in multi-head latent attention.
    is_full : bool
        No mask: each row meets ``seq_len`` keys, and ``full_attention_loss`` is left of
        what is lost otherwise.
    kernel : str
        ``fused`` is today's; older ones have a rate and a loss of their own, by name.

    Notes
    -----
    ``flop (1 + loss) / rate + launch_s`` with ``loss = half_len / S + half_rows /
    num_rows``: the rate saturates with the sequence and with the rows whose blocks
    fill the SMs, and is at most what power sustains. It does not fall with the SMs
    that communication takes: beside 20 busy SMs the H800 trace of
    deepseek-ai/profile-data shows 555 TFLOP/s, as much as on all 132 alone. Range: the
    lengths of the benchmark that each GPU's file names as its source.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> from estimator.costs.rates import Layer, device
    >>> h100 = device(load("gpu", "h100-sxm"), Layer.SPECIFICATION)
    >>> flop = attention_flop(1, 8192, 128, 128, 128)
    >>> f"{attention_s(h100, flop, 8192) * 1e3:.2f} ms"
    '2.22 ms'
    """
    if is_backward:
        rate = device.attention_backward_flop_per_s
        half_len = device.attention_backward_half_len
        half_rows = device.attention_backward_half_rows
        most = device.attention_backward_most
        if is_wide:
            rate *= device.wide_attention_backward
    else:
        rate = device.attention_forward_flop_per_s
        half_len = device.attention_forward_half_len
        half_rows = device.attention_forward_half_rows
        most = device.attention_forward_most
    rate *= device.older_attention.get(kernel, 1.0)
    loss = half_len / seq_len + half_rows / num_rows
    loss *= device.older_attention_loss.get(kernel, 1.0)
    loss *= device.full_attention_loss if is_full else 1.0
    return largest(flop * (1 + loss) / rate, flop / most) + device.launch_s
