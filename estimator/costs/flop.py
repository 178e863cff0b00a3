"""Parameters and model FLOP: the accounting behind MFU.

Model FLOP count every matrix product of the forward pass once and of the backward
pass twice: projections, feed-forward, chosen and shared experts, attention, one head.
Not counted: norms, router, multi-token prediction, recomputation. This is the count
behind DeepSeek-V3's published 250 GFLOP a token.
"""

from __future__ import annotations

from dataclasses import dataclass

from estimator.specs.model import Attention, Transformer


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


def flop_per_token(
    model: Transformer, seq_len: int, *, is_causal: bool = True
) -> float:
    """Return the model FLOP of one trained token, forward and backward.

    ``6 (weights used) + 3 (attention)``; ``is_causal`` halves attention.

    Raises
    ------
    ValueError
        If the sequence length is not positive.
    """
    if seq_len <= 0:
        raise ValueError(f"seq_len must be positive, got {seq_len}")
    attention = model.attention
    weights = model.vocab_size * model.hidden_size
    for kind in model.layer_kinds:
        weights += _matmul_params(model, kind)
    scores = 2.0 * seq_len * attention.num_heads * (attention.qk_dim + attention.v_dim)
    scores *= model.num_layers / 2 if is_causal else model.num_layers
    return 6.0 * weights + 3.0 * scores


def _matmul_params(model: Transformer, kind: str) -> int:
    """Return a layer's weights that multiply every token, router apart."""
    h, gated = model.hidden_size, model.mlp.is_gated
    attention = attention_params(model.attention, h)
    if kind == "dense" or model.moe is None:
        return attention + mlp_params(h, model.mlp.ffn_hidden_size, is_gated=gated)
    expert = mlp_params(h, model.moe.ffn_hidden_size, is_gated=gated)
    used = model.moe.experts_per_token + model.moe.num_shared_experts
    return attention + used * expert


def mfu(
    flop_a_token: float, tokens_per_s: float, num_gpus: int, peak_flop_per_s: float
) -> float:
    """Return model FLOP/s over the peak of all GPUs, a fraction of 1.

    >>> mfu(2.5e11, 1541.7, 1, 989e12)  # doctest: +ELLIPSIS
    0.389...
    """
    return flop_a_token * tokens_per_s / (num_gpus * peak_flop_per_s)
