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


<<<<<<< HEAD
=======
def attention_params(attention: Attention, hidden_size: int) -> int:
    """Return the weights of one layer's attention projections, without norms."""
    heads, h = attention.num_heads, hidden_size
    out = heads * attention.v_dim * h
    if attention.kind != "mla":
        return h * (heads + 2 * attention.kv_heads) * attention.head_dim + out
    q_rank, kv_rank = attention.q_lora_rank, attention.kv_lora_rank
    wide_q = heads * attention.qk_dim
    query = h * q_rank + q_rank * wide_q if q_rank else h * wide_q
    latent = h * (kv_rank + attention.qk_rope_head_dim)
    up = kv_rank * heads * (attention.qk_nope_head_dim + attention.v_head_dim)
    return query + latent + up + out


def mlp_params(hidden_size: int, ffn_hidden_size: int, *, is_gated: bool) -> int:
    """Return the weights of one feed-forward block.

    >>> mlp_params(7168, 2048, is_gated=True)  # one expert of DeepSeek-V3
    44040192
    """
    return (3 if is_gated else 2) * hidden_size * ffn_hidden_size


def _norm_params(model: Transformer) -> int:
    """Return the scale (and shift) parameters of one layer's norms."""
    per_norm = 2 if model.norm == "layernorm" else 1
    latent = 0
    if model.attention.kind == "mla":
        latent = model.attention.q_lora_rank + model.attention.kv_lora_rank
    return per_norm * 2 * model.hidden_size + latent


def _bias_params(model: Transformer, ffn_hidden_size: int) -> int:
    if not model.has_biases:
        return 0
    attention, h = model.attention, model.hidden_size
    qkv = (attention.num_heads + 2 * attention.kv_heads) * attention.head_dim
    up = (2 if model.mlp.is_gated else 1) * ffn_hidden_size
    return qkv + h + up + h


@dataclass(frozen=True)
class LayerParams:
    """Weights of one layer by how they are replicated."""

    shared: int
    """Attention, norms, router, shared experts, dense feed-forward."""
    experts: int
    """All routed experts."""
    active_experts: int
    """The experts that one token uses."""


def layer_params(model: Transformer, kind: str) -> LayerParams:
    """Return the weights of one layer of a kind."""
    h, gated = model.hidden_size, model.mlp.is_gated
    base = attention_params(model.attention, h) + _norm_params(model)
    if kind == "dense" or model.moe is None:
        size = model.mlp.ffn_hidden_size
        dense = mlp_params(h, size, is_gated=gated) + _bias_params(model, size)
        return LayerParams(base + dense, 0, 0)
    moe = model.moe
    expert = mlp_params(h, moe.ffn_hidden_size, is_gated=gated)
    router = h * moe.num_experts
    return LayerParams(
        base + router + moe.num_shared_experts * expert,
        moe.num_experts * expert,
        moe.experts_per_token * expert,
    )


@dataclass(frozen=True)
class Params:
    """Parameter counts of a model."""

    total: int
    """Without multi-token prediction modules."""
    active: int
    """Used by one token; embedding and head counted."""
    embedding: int
    """One of the two vocabulary matrices, positions included."""
    mtp: int
    """All multi-token prediction modules; they share embedding and head."""


def params(model: Transformer) -> Params:
    """Return the parameter counts of a model."""
    h = model.hidden_size
    vocabulary = model.vocab_size * h
    positions = model.num_learned_positions * h
    ends = (1 if model.tied_embeddings else 2) * vocabulary + positions
    final_norm = h * (2 if model.norm == "layernorm" else 1)
    total = active = ends + final_norm
    for kind in model.layer_kinds:
        layer = layer_params(model, kind)
        total += layer.shared + layer.experts
        active += layer.shared + layer.active_experts
    if model.moe:  # one bias per expert steers routing without an auxiliary loss
        total += model.layer_kinds.count("moe") * model.moe.num_experts
    mtp = 0
    if model.num_mtp_modules:
        layer = layer_params(model, model.layer_kinds[-1])
        mtp = model.num_mtp_modules * (layer.shared + layer.experts + 2 * h * h + 3 * h)
    return Params(total, active, vocabulary + positions, mtp)


>>>>>>> main
def flop_per_token(
    model: Transformer, seq_len: int, *, is_causal: bool = True
) -> float:
    """Return the model FLOP of one trained token, forward and backward.

    ``6 (weights used) + 3 (attention and state space)``; ``is_causal`` halves full
    attention. The first term follows Kaplan et al., arXiv 2001.08361, section 2.1; the
    second Korthikanti et al., arXiv 2205.05198, appendix A.

    Raises
    ------
    ValueError
        If the sequence length is not positive.
    """
    if seq_len <= 0:
        raise ValueError(f"seq_len must be positive, got {seq_len}")
    weights = model.vocab_size * model.hidden_size
    mixing = 0.0
    for layer in range(model.num_layers):
        weights += _layer_weights(model, layer)
        mixing += mixing_flop(model, layer, seq_len, is_causal=is_causal)
    return 6.0 * weights + 3.0 * mixing


def mtp_flop_per_token(
    model: Transformer, seq_len: int, *, is_causal: bool = True
) -> float:
    """Return what multi-token prediction adds to one trained token's FLOP.

    A module is a layer like the last, a projection of two vectors into one, and a
    head. :func:`flop_per_token` leaves it out, as DeepSeek does; Megatron-LM counts it.
    """
    h, last = model.hidden_size, model.num_layers - 1
    weights = _layer_weights(model, last) + 2 * h * h + model.vocab_size * h
    mixing = mixing_flop(model, last, seq_len, is_causal=is_causal)
    return model.num_mtp_modules * (6.0 * weights + 3.0 * mixing)


def mixing_flop(
    model: Transformer, layer: int, seq_len: int, *, is_causal: bool
) -> float:
    """Return one token's forward FLOP where a layer mixes tokens: scores, or scan."""
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

    Without a causal mask a token sees a whole window. With one, the first tokens of
    the sequence, or of a chunk, see fewer: ``S / 2`` of S, and of a sliding window W
    ``(W S - W^2 / 2) / S``.

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

    >>> mfu(2.5e11, 1541.7, 1, 989e12)  # doctest: +ELLIPSIS
    0.389...
    """
    return flop_a_token * tokens_per_s / (num_gpus * peak_flop_per_s)
