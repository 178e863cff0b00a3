"""Parameter counts, by block, layer and model.

Counted: every trained number, with norms, biases, router and convolution. Multi-token
prediction is a count of its own. Embedding and head are both in the total and among
the active parameters (once where they are tied); papers differ on this, so
:class:`Params` gives the embedding by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from estimator.specs.model import (
    BLOCKS,
    Attention,
    BlockKind,
    LayerKind,
    Mamba,
    Transformer,
)

NORM_VECTORS = {"rmsnorm": 1, "layernorm": 2, "layernorm-no-bias": 1}
"""Vectors of the hidden size that one norm learns: a scale, and perhaps a shift."""


@dataclass(frozen=True)
class LayerParams:
    """Weights of a layer or block by how they are replicated."""

    shared: int
    """Attention, norms, router, shared experts, dense feed-forward, Mamba."""
    experts: int = 0
    """All routed experts."""
    active_experts: int = 0
    """The experts that one token uses."""


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


def attention_params(attention: Attention, hidden_size: int) -> int:
    """Return the weights of one layer's attention projections, without norms.

    Parameters
    ----------
    attention : Attention
        Heads, their widths in elements, and for latent attention its ranks.
    hidden_size : int
        Elements of a token, h.

    Notes
    -----
    ``h (H + 2 Hkv) d + H dv h``; latent attention (MLA) goes down to its ranks and up
    again: ``h q + q H dqk + h (kv + drope) + kv H (dnope + dv) + H dv h``, DeepSeek-V2,
    arXiv 2405.04434, section 2.1. Biases are counted by :func:`block_params`.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> attention_params(load("model", "llama-3.1-405b").attention, 16384)
    570425344
    """
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

    Parameters
    ----------
    hidden_size, ffn_hidden_size : int
        Elements of a token outside and inside the block.
    is_gated : bool
        Whether a second product gates the first (SwiGLU and its like).

    Notes
    -----
    ``3 h f``, or ``2 h f`` without a gate: Shazeer, arXiv 2002.05202. No biases.

    Examples
    --------
    >>> mlp_params(7168, 2048, is_gated=True)  # one expert of DeepSeek-V3
    44040192
    """
    return (3 if is_gated else 2) * hidden_size * ffn_hidden_size


def mamba_params(mamba: Mamba, hidden_size: int) -> int:
    """Return the weights of one Mamba-2 mixer's input and output projections.

    Parameters
    ----------
    mamba : Mamba
        Sizes of the mixer: what its input projection makes, and its inner width.
    hidden_size : int
        Elements of a token.

    Notes
    -----
    ``h (in_size + inner_size)``: Dao and Gu, "Transformers are SSMs," arXiv 2405.21060.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> hybrid = load("model", "nemotron-h-8b")
    >>> mamba_params(hybrid.mamba, hybrid.hidden_size)
    109576192
    """
    return hidden_size * (mamba.in_size + mamba.inner_size)


def params(model: Transformer) -> Params:
    """Return the parameter counts of a model.

    Parameters
    ----------
    model : Transformer
        Its layers, vocabulary and ends.

    Returns
    -------
    Params
        In parameters: all, those that one token uses, one vocabulary matrix, and
        multi-token prediction apart. See the module for what is counted.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> made = params(load("model", "deepseek-v3"))
    >>> f"{made.total / 1e9:.1f} B, {made.active / 1e9:.1f} B active"
    '671.0 B, 37.6 B active'
    """
    h = model.hidden_size
    vocabulary = model.vocab_size * h
    positions = model.num_learned_positions * h
    ends = (1 if model.tied_embeddings else 2) * vocabulary + positions
    num_norms = 2 if model.has_embedding_norm else 1  # and the one before the head
    total = active = ends + num_norms * _norm(model)
    layers = {kind: layer_params(model, kind) for kind in set(model.layer_kinds)}
    for kind in model.layer_kinds:
        total += layers[kind].shared + layers[kind].experts
        active += layers[kind].shared + layers[kind].active_experts
        if model.moe and model.moe.has_expert_bias and "moe" in BLOCKS[kind]:
            total += model.moe.num_experts  # added to scores, multiplies nothing
    return Params(total, active, vocabulary + positions, _mtp(model))


@lru_cache(maxsize=1024)
def layer_params(model: Transformer, kind: LayerKind) -> LayerParams:
    """Return the weights of one layer of a kind, its norms among them.

    Parameters
    ----------
    model : Transformer
        Whose layer it is.
    kind : str
        Which blocks it has: a key of :data:`estimator.specs.model.BLOCKS`.

    Raises
    ------
    KeyError
        If the kind is not known.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> layer_params(load("model", "llama-3.1-405b"), "dense").shared
    3187703808
    """
    blocks = [block_params(model, block) for block in BLOCKS[kind]]
    num_norms = model.norms_per_layer or len(blocks)
    return LayerParams(
        num_norms * _norm(model) + sum(block.shared for block in blocks),
        sum(block.experts for block in blocks),
        sum(block.active_experts for block in blocks),
    )


def block_params(model: Transformer, block: BlockKind) -> LayerParams:
    """Return the weights of one block, its norms apart.

    Parameters
    ----------
    model : Transformer
        Whose block it is; one with experts or a state space only if the model has them.
    block : str
        ``attention``, ``mamba``, ``mlp`` or ``moe``.

    Returns
    -------
    LayerParams
        Router and shared experts are ``shared``; biases are counted.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> block_params(load("model", "deepseek-v3"), "moe").active_experts  # 8 of 256
    352321536
    """
    if block == "attention":
        return LayerParams(_attention(model))
    if block == "mamba":
        return LayerParams(_mamba(model))
    if block == "mlp":
        return LayerParams(_mlp(model, model.mlp.ffn_hidden_size))
    moe = model.moe
    assert moe  # noqa: S101 - only models with experts have such blocks
    router = (model.hidden_size + moe.has_router_bias) * moe.num_experts
    shared = _mlp(model, moe.shared_width) if moe.shared_width else 0
    expert = _mlp(model, moe.ffn_hidden_size)
    return LayerParams(
        router + shared, moe.num_experts * expert, moe.experts_per_token * expert
    )


def _norm(model: Transformer) -> int:
    return NORM_VECTORS[model.norm] * model.hidden_size


def _mlp(model: Transformer, width: int) -> int:
    """Return a dense block or expert of ``width``, biases included."""
    h, gated = model.hidden_size, model.mlp.is_gated
    biases = (2 if gated else 1) * width + h if model.mlp.has_bias else 0
    return mlp_params(h, width, is_gated=gated) + biases


def _attention(model: Transformer) -> int:
    """Return an attention block: projections, biases, norms of Q and K, sinks."""
    attention, h = model.attention, model.hidden_size
    heads, kv_heads = attention.num_heads, attention.kv_heads
    count = attention_params(attention, h)
    if attention.has_qkv_bias:
        count += heads * attention.qk_dim
        count += kv_heads * (attention.qk_dim + attention.v_dim)
    if attention.has_out_bias:
        count += h
    if attention.qk_norm == "per-head":
        count += 2 * attention.qk_dim
    if attention.qk_norm == "full-width":
        count += (heads + kv_heads) * attention.qk_dim
    if attention.kind == "mla":  # the latent vectors are normed
        count += attention.q_lora_rank + attention.kv_lora_rank
    return count + (heads if attention.has_sinks else 0)


def kv_params(model: Transformer) -> int:
    """Return the weights of one layer's keys and values, where heads share them.

    Parameters
    ----------
    model : Transformer
        Its attention and width.

    Notes
    -----
    ``Hkv (dqk + dv) (h + 1 with a bias)``. Multi-head latent attention has none: a rank
    derives its own from the latents.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> kv_params(load("model", "llama-3.1-405b"))
    33554432
    """
    attention = model.attention
    if attention.kind == "mla":
        return 0
    inputs = model.hidden_size + attention.has_qkv_bias
    return attention.kv_heads * (attention.qk_dim + attention.v_dim) * inputs


def _mamba(model: Transformer) -> int:
    """Return a Mamba-2 mixer: projections, convolution, decay, skip, step, norm."""
    mamba = model.mamba
    assert mamba  # noqa: S101 - only hybrids have such blocks
    convolution = mamba.conv_size * (mamba.conv_kernel + 1)
    per_head = 3 * mamba.num_heads
    projections = mamba_params(mamba, model.hidden_size)
    return projections + convolution + per_head + mamba.inner_size


def _mtp(model: Transformer) -> int:
    """Return the modules' layers, and what stands around them."""
    layer = layer_params(model, model.layer_kinds[-1])
    each = layer.shared + layer.experts + around_mtp_layer(model.hidden_size)
    return model.num_mtp_modules * each


def around_mtp_layer(hidden_size: int) -> int:
    """Return a multi-token module's parameters beside its layer's.

    A projection of two vectors to one; a norm of either and of what the head reads.
    Source: DeepSeek-V3 technical report, arXiv 2412.19437, section 2.2.

    Parameters
    ----------
    hidden_size : int
        Width of the residual stream.

    >>> around_mtp_layer(7168)
    102781952
    """
    return 2 * hidden_size * hidden_size + 3 * hidden_size
