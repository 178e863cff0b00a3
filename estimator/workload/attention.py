"""Kernels of an attention block: forward, backward to the input, to the weights.

Traffic is itemised in bytes per token and rank, BF16 unless said otherwise. The list
follows the kernels of a block-scaled FP8 layer (deepseek-ai/profile-data): a cast
reads 2 bytes and writes 1; weight gradients need a second, transposed cast.
"""

from __future__ import annotations

from estimator.costs.kernels import attention_backward_flop, attention_flop
from estimator.workload.work import AttentionCore, Gemm, Segment, Sizes, Traffic

CAST = 3
"""Bytes that one cast moves per element: BF16 in, FP8 out."""
NORM = 4
NORM_BACKWARD = 6
ADD = 6
E5M6_STASH = 3.5
"""Attention output kept in 12 bits for the backward pass: 2 in, 1.5 out."""
ACCUMULATE = 8
"""FP32 weight gradient: read and written."""


def products(size: Sizes) -> tuple[tuple[str, int, int], ...]:
    """Return the projections as (name, output width, input width) on one rank."""
    attention, h = size.model.attention, size.model.hidden_size
    heads = size.heads
    out = ("out", h, heads * attention.v_dim)
    if attention.kind != "mla":
        width = (heads + 2 * size.kv_heads) * attention.head_dim
        return (("qkv", width, h), out)
    q_rank, kv_rank = attention.q_lora_rank, attention.kv_lora_rank
    wide_q = heads * attention.qk_dim
    query = (
        (("q down", q_rank, h), ("q up", wide_q, q_rank))
        if q_rank
        else (("q", wide_q, h),)
    )
    up = heads * (attention.qk_nope_head_dim + attention.v_head_dim)
    return (
        *query,
        ("kv down", kv_rank + attention.qk_rope_head_dim, h),
        ("kv up", up, kv_rank),
        out,
    )


def _core(size: Sizes, *, is_backward: bool) -> AttentionCore:
    attention = size.model.attention
    flop = attention_flop(
        size.num_sequences, size.seq_len, size.heads, attention.qk_dim, attention.v_dim
    )
    moved = size.tokens * (
        2 * size.heads * (attention.qk_dim + attention.v_dim)
        + 2 * size.kv_heads * (attention.qk_dim + attention.v_dim)
    )
    if is_backward:
        flop = attention_backward_flop(flop, attention.qk_dim, attention.v_dim)
        moved *= 2
    name = "attention backward" if is_backward else "attention"
    return AttentionCore(name, flop, size.seq_len, moved, is_backward)


def forward(size: Sizes) -> Segment:
    """Return norm, projections, attention, residual, and the norm behind them."""
    h, attention = size.model.hidden_size, size.model.attention
    out = size.heads * attention.v_dim
    per_token = float(_rotary_bytes(size))
    if size.is_fp8:
        per_token += out * (E5M6_STASH + CAST) + _latents(size) * CAST
        per_token += h * CAST * (2 if attention.kind == "mla" else 1)
    per_token += _latents(size) * NORM + _latent_split(size)
    split = h * (NORM + ADD + NORM)
    return (
        *(Gemm(name, size.tokens, n, k, size.linear) for name, n, k in products(size)),
        _core(size, is_backward=False),
        Traffic(
            "norms, casts, rotary, residual",
            size.tokens * per_token + size.split_tokens * split,
            18 if attention.kind == "mla" else 8,
        ),
    )


def input_gradient(size: Sizes) -> Segment:
    """Return the backward pass to the block's input, with what is recomputed."""
    h, attention = size.model.hidden_size, size.model.attention
    again = _recomputed(size)
    gradients = tuple(
        Gemm(f"d {name}", size.tokens, k, n, size.linear)
        for name, n, k in products(size)
    )
    core: Segment = (_core(size, is_backward=True),)
    if {"core_attn", "full"} & size.recompute:
        core = (_core(size, is_backward=False), *core)
    wide = 3 * size.heads * attention.qk_dim  # gradients of Q, K and V, about
    per_token = float(_rotary_bytes(size)) + _latents(size) * NORM_BACKWARD
    if size.is_fp8:
        inputs = 2 if attention.kind == "mla" else 1
        per_token += size.heads * attention.v_dim * E5M6_STASH
        per_token += 2 * CAST * (wide + h) + inputs * CAST * h
        per_token += 2 * CAST * _latents(size)
    split = h * (2 * NORM_BACKWARD + 2 * ADD)
    if {"layernorm", "full"} & size.recompute:
        split += h * 2 * NORM
    if attention.kind == "mla":  # gradients of K's and V's parts back into one tensor
        width = attention.qk_nope_head_dim + attention.v_head_dim
        per_token += 4 * size.heads * width
    return (
        *again,
        *gradients,
        *core,
        Traffic(
            "norms, casts, rotary, residual backward",
            size.tokens * per_token + size.split_tokens * split,
            40 if attention.kind == "mla" else 16,
        ),
    )


def weight_gradient(size: Sizes) -> Segment:
    """Return the products that accumulate into the FP32 gradients."""
    return tuple(
        Gemm(
            f"w {name}",
            n,
            k,
            size.tokens,
            size.linear,
            output_bytes=ACCUMULATE,
            is_weight_gradient=True,
        )
        for name, n, k in products(size)
    )


def _recomputed(size: Sizes) -> Segment:
    """Return the forward products that run again before the backward pass."""
    if "full" in size.recompute:
        return tuple(
            Gemm(f"again {name}", size.tokens, n, k, size.linear)
            for name, n, k in products(size)
        )
    if "mla_up_proj" not in size.recompute or size.model.attention.kind != "mla":
        return ()
    cast = CAST if size.is_fp8 else 0
    return (
        *(
            Gemm(f"again {name}", size.tokens, n, k, size.linear)
            for name, n, k in products(size)
            if name in ("q up", "kv up")
        ),
        Traffic(
            "again latent norms, rotary",
            size.tokens * (_latents(size) * (NORM + cast) + _rotary_bytes(size)),
            6,
        ),
    )


def _latents(size: Sizes) -> int:
    """Width of the normed latent vectors of multi-head latent attention."""
    attention = size.model.attention
    if attention.kind != "mla":
        return 0
    return attention.q_lora_rank + attention.kv_lora_rank


def _latent_split(size: Sizes) -> int:
    attention = size.model.attention
    if attention.kind != "mla":
        return 0
    return 4 * (attention.kv_lora_rank + attention.qk_rope_head_dim)


def _rotary_bytes(size: Sizes) -> int:
    """Bytes per token to rotate Q and K, and for MLA to assemble K."""
    attention = size.model.attention
    if size.model.num_learned_positions:
        return 0
    if attention.kind != "mla":
        return 4 * (size.heads + size.kv_heads) * attention.head_dim
    rope, nope = attention.qk_rope_head_dim, attention.qk_nope_head_dim
    return size.heads * (4 * rope + 4 * nope + 2 * rope)
