"""Model FLOP: the accounting behind MFU.

Model FLOP count every matrix product of the forward pass once and of the backward
pass twice: projections, feed-forward, chosen and shared experts, attention, one head.
Not counted: norms, biases, router, convolution, multi-token prediction, recomputation.
This is the count behind DeepSeek-V3's published 250 GFLOP a token.

Attention counts the tokens that are seen: all, half of them under a causal mask, and
no more than a window where attention is local. A state-space layer counts its
recurrence, which is linear in the sequence.
"""

from __future__ import annotations

from estimator.costs.params import attention_params, mamba_params, mlp_params
from estimator.specs.model import BLOCKS, BlockKind, LocalAttention, Transformer

SCAN_FLOP = 7
"""FLOP of the Mamba-2 recurrence per channel and element of its state.

Source: Megatron-LM, ``mamba_layer_flops`` in megatron/training/training.py.
"""


def flop_per_token(
    model: Transformer, seq_len: int, *, is_causal: bool = True, num_passes: int = 3
) -> float:
    """Return the model FLOP of one trained token, forward and backward.

    Parameters
    ----------
    model : Transformer
        Its layers, experts that a token uses, and vocabulary.
    seq_len : int
        Tokens of a sequence, positive.
    is_causal : bool
        Whether later tokens are masked, which halves full attention.
    num_passes : int
        Thirds of the count that are run: 3 to train, 1 forward alone.

    Raises
    ------
    ValueError
        If the sequence length is not positive.

    Notes
    -----
    ``num_passes (2 (weights used) + (attention and state space))``. The first term
    follows Kaplan et al., arXiv 2001.08361, section 2.1; the second Korthikanti et al.,
    arXiv 2205.05198, appendix A.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> f"{flop_per_token(load('model', 'deepseek-v3'), 4096) / 1e9:.0f} GFLOP"
    '250 GFLOP'
    """
    if seq_len <= 0:
        raise ValueError(f"seq_len must be positive, got {seq_len}")
    weights = model.vocab_size * model.hidden_size
    mixing = 0.0
    for layer in range(model.num_layers):
        weights += _layer_weights(model, layer)
        mixing += mixing_flop(model, layer, seq_len, is_causal=is_causal)
    return num_passes * (2.0 * weights + mixing)


def mtp_flop_per_token(
    model: Transformer, seq_len: int, *, is_causal: bool = True
) -> float:
    """Return what multi-token prediction adds to one trained token's FLOP.

    A module is a layer like the last, a projection of two vectors into one, and a
    head. :func:`flop_per_token` leaves it out, as DeepSeek does; Megatron-LM counts it.

    Parameters
    ----------
    model : Transformer
        With its number of modules; none add nothing.
    seq_len : int
        Tokens of a sequence, positive.
    is_causal : bool
        Whether later tokens are masked.

    Notes
    -----
    ``modules (6 (layer + 2 h^2 + vocabulary h) + 3 mixing)``: DeepSeek-V3 technical
    report, arXiv 2412.19437, section 2.2.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> f"{mtp_flop_per_token(load('model', 'deepseek-v3'), 4096) / 1e9:.1f} GFLOP"
    '10.2 GFLOP'
    """
    h, last = model.hidden_size, model.num_layers - 1
    weights = _layer_weights(model, last) + 2 * h * h + model.vocab_size * h
    mixing = mixing_flop(model, last, seq_len, is_causal=is_causal)
    return model.num_mtp_modules * (6.0 * weights + 3.0 * mixing)


def mixing_flop(
    model: Transformer, layer: int, seq_len: int, *, is_causal: bool
) -> float:
    """Return one token's forward FLOP where a layer mixes tokens: scores, or scan.

    Parameters
    ----------
    model : Transformer
        Whose layer it is.
    layer : int
        Its number from 0; what window it has depends on it.
    seq_len : int
        Tokens of a sequence, positive.
    is_causal : bool
        Whether later tokens are masked.

    Notes
    -----
    ``2 span H (dqk + dv)`` with the span of :func:`mean_span`; a state space
    ``7 inner state`` (:data:`SCAN_FLOP`).

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> mixing_flop(load("model", "llama-3.1-405b"), 0, 8192, is_causal=True)
    268435456.0
    """
    blocks = BLOCKS[model.layer_kinds[layer]]
    if "mamba" in blocks and model.mamba:
        return SCAN_FLOP * float(model.mamba.inner_size) * model.mamba.state_size
    if "attention" not in blocks:
        return 0.0
    attention = model.attention
    span = mean_span(seq_len, model.local_attention(layer), is_causal=is_causal)
    return 2.0 * span * attention.num_heads * (attention.qk_dim + attention.v_dim)


def mean_span(seq_len: int, local: LocalAttention | None, *, is_causal: bool) -> float:
    """Return how many tokens a token attends to, averaged over a sequence.

    Parameters
    ----------
    seq_len : int
        Tokens of a sequence, S, positive.
    local : LocalAttention or None
        A sliding window or chunks of W tokens; None for the whole sequence.
    is_causal : bool
        Whether later tokens are masked.

    Notes
    -----
    Without a causal mask a token sees a whole window. With one, the first tokens of
    the sequence, or of a chunk, see fewer: ``S / 2`` of S, and of a sliding window W
    ``(W S - W^2 / 2) / S``. The half token of the diagonal is left out.

    Examples
    --------
    >>> mean_span(4096, None, is_causal=True)
    2048.0
    >>> window = LocalAttention(kind="sliding", window=1024)
    >>> mean_span(4096, window, is_causal=True), mean_span(512, window, is_causal=True)
    (896.0, 256.0)
    """
    if local is None or seq_len <= local.window:
        return seq_len / 2 if is_causal else float(seq_len)
    window = local.window
    if local.kind == "sliding":
        return window - window**2 / (2 * seq_len) if is_causal else float(window)
    whole, rest = divmod(seq_len, window)
    mean = (whole * window**2 + rest**2) / seq_len
    return mean / 2 if is_causal else mean


def _layer_weights(model: Transformer, layer: int) -> int:
    """Return a layer's weights that multiply every token, router apart."""
    blocks = BLOCKS[model.layer_kinds[layer]]
    return sum(_block_weights(model, block) for block in blocks)


def _block_weights(model: Transformer, block: BlockKind) -> int:
    h = model.hidden_size
    if block == "attention":
        return attention_params(model.attention, h)
    if block == "mamba" and model.mamba:
        return mamba_params(model.mamba, h)
    width = model.mlp.ffn_hidden_size
    if block == "moe" and model.moe:
        routed = model.moe.experts_per_token * model.moe.ffn_hidden_size
        width = routed + model.moe.shared_width
    return mlp_params(h, width, is_gated=model.mlp.is_gated)


def mfu(
    flop_a_token: float, tokens_per_s: float, num_gpus: int, peak_flop_per_s: float
) -> float:
    """Return model FLOP/s over the peak of all GPUs, a fraction of 1.

    Parameters
    ----------
    flop_a_token : float
        Model FLOP of a trained token (:func:`flop_per_token`).
    tokens_per_s : float
        Of the whole cluster.
    num_gpus : int
        In use, positive.
    peak_flop_per_s : float
        Dense peak of one GPU, positive; of its 16-bit format by convention, so that
        training in 8 bits can exceed 1.

    Notes
    -----
    ``flop_a_token tokens_per_s / (num_gpus peak)``: Chowdhery et al., PaLM, arXiv
    2204.02311, appendix B.

    Examples
    --------
    >>> mfu(2.5e11, 1541.7, 1, 989e12)  # doctest: +ELLIPSIS
    0.389...
    """
    return flop_a_token * tokens_per_s / (num_gpus * peak_flop_per_s)
