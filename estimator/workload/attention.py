"""Kernels of an attention block: forward, backward to the input, to the weights.

Traffic is itemised in bytes per token and rank, BF16 unless said otherwise. The list
follows the kernels of a block-scaled FP8 layer (deepseek-ai/profile-data): a cast
reads 2 bytes and writes 1; weight gradients need a second, transposed cast.
"""

from __future__ import annotations

from typing import NamedTuple

from estimator.costs.attention import attention_backward_flop
from estimator.costs.flop import mean_span
from estimator.workload import context
from estimator.workload.work import (
    ADD,
    DROPOUT_STATES,
    AttentionCore,
    Gemm,
    Kernel,
    Segment,
    Sizes,
    Softmax,
    Traffic,
    casts,
    linear,
    weight_product,
)

NORM = 4
NORM_BACKWARD = 6
EAGER_NORM = 36
"""Bytes per element of an RMS norm in PyTorch's own operations: to FP32 6, square 8,
mean 4, times its inverse root 8, to BF16 6, times the weight 4."""
EAGER_NORM_BACKWARD = 60
"""Its gradient: weight 8, casts 12, product 20, square 12, and a sum of two 8."""
EAGER_ROTARY = 20
"""Bytes per element: to FP32 6, complex product 8, to BF16 6."""
E5M6_STASH = 3.5
"""Attention output kept in 12 bits for the backward pass: 2 in, 1.5 out."""


class MixerPasses(NamedTuple):
    """What a masked softmax moves per score, and its kernels in one direction."""

    bytes: int
    backward_bytes: int
    num_kernels: int


FUSED_SOFTMAX = MixerPasses(4, 6, 1)
"""Forward it lasts longer than its bytes (:class:`Softmax`)."""
EAGER_SOFTMAX = MixerPasses(36, 40, 5)
"""To FP32 6, scale 8, mask 8, softmax 8, to 16 bits 6; backward its gradient takes 12
and the others as much."""
DROPOUT = 5
"""Bytes of what is dropped from: 2 in, 2 out, a mask of 1; either way."""
ALIBI = 4
"""Bytes per score of slopes that a product starts from: written for it, and read
(bigscience-workshop/Megatron-DeepSpeed, ``model/transformer.py``, ``baddbmm``)."""
MASK = 1
"""Of these, the mask, which is kept."""
COPY = 4
BIAS_GRADIENT = 2
"""Bytes per element of an output gradient that is summed over its rows."""


class Projection(NamedTuple):
    """A product into the block or out of it, on one rank."""

    name: str
    width: int
    """Of its output."""
    input_width: int
    is_up: bool = False
    """Whether it widens a latent vector."""


def norm_bytes(size: Sizes) -> tuple[int, int]:
    """Return the bytes per element of a norm, forward and backward."""
    if size.software.kernels.fused_norms:
        return NORM, NORM_BACKWARD
    return EAGER_NORM, EAGER_NORM_BACKWARD


def gradient_sum_bytes(size: Sizes, num_readers: int) -> int:
    """Return the bytes per element to sum the gradients of what several have read.

    Two by two, or in one kernel where programs are compiled.
    """
    if size.software.kernels.fused_norms:
        return 2 * (num_readers + 1)
    return ADD * (num_readers - 1)


def _copies(size: Sizes) -> Segment:
    """Return the copies that bring heads into the order of a kernel, either way."""
    count = size.software.kernels.attention_copies
    if not count or size.model.attention.kind == "mla":
        return ()
    moved = float(count * COPY * size.tokens * size.heads * size.model.attention.v_dim)
    return (Traffic("copies of heads", moved, count, "plain"),)


def _input_sums(size: Sizes) -> Segment:
    """Return the sum of the gradients of an input that several products have read."""
    h, is_latent = size.model.hidden_size, size.model.attention.kind == "mla"
    if is_latent:  # each rank projects its part of the sequence
        moved = gradient_sum_bytes(size, 2) * size.split_tokens * h
    elif not size.software.kernels.fused_projections:
        moved = gradient_sum_bytes(size, 3) * size.tokens * h
    else:
        return ()
    return (Traffic("sum of input gradients", float(moved), pattern="plain"),)


def projections(size: Sizes) -> tuple[Projection, ...]:
    """Return the products into the block and out of it."""
    attention, h = size.model.attention, size.model.hidden_size
    heads = size.heads
    out = Projection("out", h, heads * attention.v_dim)
    if attention.kind != "mla":
        each, kv = heads * attention.head_dim, size.kv_heads * attention.head_dim
        if not size.software.kernels.fused_projections:
            return (
                Projection("q", each, h),
                Projection("k", kv, h),
                Projection("v", kv, h),
                out,
            )
        return (Projection("qkv", each + 2 * kv, h), out)
    q_rank, kv_rank = attention.q_lora_rank, attention.kv_lora_rank
    wide_q = heads * attention.qk_dim
    query = (
        (
            Projection("q down", q_rank, h),
            Projection("q up", wide_q, q_rank, is_up=True),
        )
        if q_rank
        else (Projection("q", wide_q, h),)
    )
    up = heads * (attention.qk_nope_head_dim + attention.v_head_dim)
    return (
        *query,
        Projection("kv down", kv_rank + attention.qk_rope_head_dim, h),
        Projection("kv up", up, kv_rank, is_up=True),
        out,
    )


def core(size: Sizes, layer: int, *, is_backward: bool) -> Segment:
    """Return scores, softmax and weighted values of a layer on one rank.

    Several kernels where other ranks hold a part of the sequence (``context.py``).
    """
    attention = size.model.attention
    widths = attention.qk_dim + attention.v_dim
    if size.software.kernels.attention == "unfused":
        return _unfused(size, is_backward=is_backward)
    local = size.model.local_attention(layer)
    span = mean_span(size.seq_len, local, is_causal=True)
    flop = 2.0 * size.tokens * size.heads * span * widths
    moved = size.tokens * 2.0 * (size.heads + size.read_kv_heads) * widths
    if is_backward:
        flop = attention_backward_flop(flop, attention.qk_dim, attention.v_dim)
        moved *= 2
    name = "attention backward" if is_backward else "attention"
    reach = min(size.seq_len, local.window) if local else size.seq_len
    kernel = size.software.kernels.attention
    rows = size.tokens * size.heads
    is_wide = attention.qk_dim > attention.v_dim
    made = AttentionCore(name, flop, reach, rows, moved, is_backward, kernel, is_wide)
    return context.parts(size, made) if size.plan.cp > 1 else (made,)


def _unfused(size: Sizes, *, is_backward: bool) -> Segment:
    """Return attention as batched products over whole scores, as before 2022."""
    attention = size.model.attention
    length, rows = size.seq_len, size.seq_len // size.plan.cp
    groups = size.heads * size.plan.micro_batch_size
    scores = float(groups) * rows * length
    dropped = DROPOUT if size.software.defaults.dropout else 0
    softmax = EAGER_SOFTMAX if has_eager_softmax(size) else FUSED_SOFTMAX
    per_score = softmax.backward_bytes + dropped
    launched = softmax.num_kernels + 1
    pair = (
        Gemm("scores", rows, length, attention.qk_dim, "bf16", num_groups=groups),
        Gemm("values", rows, attention.v_dim, length, "bf16", num_groups=groups),
    )
    if not is_backward:
        beside = dropped + (ALIBI if size.model.has_alibi else 0)
        name, moved = "softmax, dropout", softmax.bytes + beside
        if softmax is FUSED_SOFTMAX:
            made: Kernel = Softmax(name, scores, moved, beside, launched)
        else:
            made = Traffic(name, scores * moved, launched)
        return (*pair, made, DROPOUT_STATES)
    made = Traffic("softmax, dropout backward", scores * per_score, launched)
    return (*pair, *pair, made)


def has_eager_softmax(size: Sizes) -> bool:
    """Whether unfused attention's softmax is several kernels on FP32 scores.

    Megatron-LM's own takes heads times sequences in fours (commit 55ba1f7,
    ``model/fused_softmax.py``; what is slow without it: BigScience, tr11-176B-ml).
    """
    return size.heads * size.plan.micro_batch_size % 4 != 0


def forward(size: Sizes, layer: int) -> Segment:
    """Return projections and attention, with the traffic between them."""
    h, attention = size.model.hidden_size, size.model.attention
    out, dtype = size.heads * attention.v_dim, size.format.dtype
    per_token = float(_rotary_bytes(size))
    cast = size.format.cast * (out + _latents(size) + h * _inputs(size))
    if size.keeps_12_bits:
        per_token += out * E5M6_STASH
    per_token += _latents(size) * NORM + _latent_split(size)
    if size.is_local:
        per_token += COPY * out
    per_token += _repeated_bytes(size)
    return (
        *_copies(size),
        *(
            linear(made.name, size.tokens, made.width, made.input_width, dtype)
            for made in projections(size)
        ),
        *core(size, layer, is_backward=False),
        Traffic(
            "rotary", size.tokens * per_token, 15 if attention.kind == "mla" else 4
        ),
        *casts("casts", size.tokens * cast),
    )


def input_gradient(size: Sizes, layer: int) -> Segment:
    """Return the backward pass to the block's input, with what is recomputed."""
    h, attention = size.model.hidden_size, size.model.attention
    dtype = size.format.dtype
    gradients = tuple(
        Gemm(f"d {made.name}", size.tokens, made.input_width, made.width, dtype)
        for made in projections(size)
    )
    scores = core(size, layer, is_backward=True)
    if "core_attn" in size.recompute:
        scores = (*core(size, layer, is_backward=False), *scores)
    if attention.kind == "mla":
        wide = 3 * size.heads * attention.qk_dim  # gradients of Q, K and V, about
    else:
        wide = (size.heads + 2 * size.kv_heads) * attention.head_dim
    per_token = float(_rotary_bytes(size)) + _latents(size) * NORM_BACKWARD
    cast = (size.format.cast + size.format.recast) * (wide + h + _latents(size))
    cast += size.format.recast * h * _inputs(size)
    if size.keeps_12_bits:
        per_token += size.heads * attention.v_dim * E5M6_STASH
    if attention.kind == "mla":  # gradients of K's and V's parts back into one tensor
        width = attention.qk_nope_head_dim + attention.v_head_dim
        per_token += 4 * size.heads * width
    elif size.is_local:
        per_token += COPY * wide
    per_token += _repeated_bytes(size)
    return (
        *_recomputed(size),
        *gradients,
        *_copies(size),
        *_input_sums(size),
        *scores,
        Traffic(
            "rotary backward",
            size.tokens * per_token,
            32 if attention.kind == "mla" else 8,
        ),
        *casts("casts backward", size.tokens * cast),
    )


def weight_gradient(size: Sizes) -> Segment:
    """Return the products that accumulate into the FP32 gradients."""
    wide = (size.heads + 2 * size.kv_heads) * size.model.attention.head_dim
    return (
        *(
            kernel
            for made in projections(size)
            for kernel in weight_product(
                size,
                f"w {made.name}",
                made.width,
                made.input_width,
                size.tokens,
                size.format.dtype,
            )
        ),
        *bias_gradients(size, wide),
    )


def bias_gradients(size: Sizes, width: int) -> Segment:
    """Return the sums that are the gradients of a block's biases.

    The first's has ``width`` elements a token, the second's is added outside
    tensor-parallel blocks. Source: NVIDIA/Megatron-LM, ``tensor_parallel/layers.py``,
    ``fused_bias_gelu.py``, ``fused_bias_dropout.py``.
    """
    if not size.is_local:
        return ()
    elements = size.tokens * width + size.split_tokens * size.model.hidden_size
    return (Traffic("bias gradients", float(BIAS_GRADIENT) * elements, 0),)


def _inputs(size: Sizes) -> int:
    """Casts of the block's input: query and KV of MLA have one each."""
    return 2 if size.model.attention.kind == "mla" else 1


def _recomputed(size: Sizes) -> Segment:
    """Return the up-projections that run again before the backward pass."""
    if size.model.attention.kind != "mla":
        return _second_products(size) if "second_product" in size.recompute else ()
    if "mla_up_proj" not in size.recompute:
        return ()
    moved = float(_latents(size) * NORM + _rotary_bytes(size))
    dtype = size.format.dtype
    return (
        *(
            linear(
                f"again {made.name}", size.tokens, made.width, made.input_width, dtype
            )
            for made in projections(size)
            if made.is_up
        ),
        Traffic("again latent norms, rotary", size.tokens * moved, 6),
        *casts("again casts", size.tokens * _latents(size) * size.format.cast),
    )


def _second_products(size: Sizes) -> Segment:
    """Return K's projection and the output's, the second and fourth of a layer."""
    h, attention, dtype = (
        size.model.hidden_size,
        size.model.attention,
        size.format.dtype,
    )
    return (
        linear("again k", size.tokens, size.kv_heads * attention.head_dim, h, dtype),
        linear("again out", size.tokens, h, size.heads * attention.v_dim, dtype),
        Traffic("again rotary", size.tokens * float(_rotary_bytes(size)), 2),
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


def _repeated_bytes(size: Sizes) -> int:
    """Bytes per token to copy keys and values for their heads, or add up gradients."""
    if size.read_kv_heads == size.kv_heads:
        return 0
    widths = size.model.attention.qk_dim + size.model.attention.v_dim
    return 2 * (size.kv_heads + size.read_kv_heads) * widths


def _rotary_bytes(size: Sizes) -> int:
    """Bytes per token to rotate Q and K, and for MLA to assemble K."""
    attention = size.model.attention
    if size.model.num_learned_positions or size.model.has_alibi:
        return 0
    if attention.kind != "mla":
        each = 4 if size.software.kernels.fused_norms else EAGER_ROTARY
        return each * (size.heads + size.kv_heads) * attention.head_dim
    rope, nope = attention.qk_rope_head_dim, attention.qk_nope_head_dim
    return size.heads * (4 * rope + 4 * nope + 2 * rope)
