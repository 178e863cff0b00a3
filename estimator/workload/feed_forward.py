"""Kernels of feed-forward blocks: dense, routed and shared experts."""

from __future__ import annotations

from typing import NamedTuple

from estimator.costs.kernels import Pattern
from estimator.workload.attention import bias_gradients, gradient_sum_bytes
from estimator.workload.work import (
    ACCUMULATE,
    ADD,
    GRADIENT_KERNELS,
    Gemm,
    Segment,
    Sizes,
    TopK,
    Traffic,
    casts,
    linear,
    weight_product,
)

ROUTER_PASSES = 8
"""Passes over the FP32 scores: sigmoid, bias, group sums, normalisation."""


class Routing(NamedTuple):
    """Kernels that choose experts and weigh the auxiliary loss."""

    num_kernels: int
    num_backward: int
    num_top_k: int


ROUTING = Routing(31, 25, 2)
"""PyTorch's, counted in deepseek-ai/profile-data ``train.json``."""
FUSED_ROUTING = Routing(8, 5, 0)
"""Choice, scores for the loss and loss are a kernel each, with a few around them
(NVIDIA/Megatron-LM, ``moe_router_fusion``, August 2025; Transformer Engine,
``common/fused_router``)."""
FP32 = 4
BF16 = 2
UNFUSED_GATE = 4
"""Further bytes per element where gate and product are two kernels."""
UNFUSED_GATE_BACKWARD = 8
"""The same backward, where a gradient is read by three kernels."""
JOINED_GRADIENTS = 8
"""Where gate and up-projection are halves of one product's output."""


def _up(size: Sizes, width: int) -> int:
    """Width of the first product: gate and up-projection in one, or up alone."""
    return (2 if size.model.mlp.is_gated else 1) * width


def _ups(size: Sizes, width: int) -> tuple[tuple[str, int], ...]:
    """Return the products into the block as (name, output width)."""
    if size.model.mlp.is_gated and not size.software.kernels.fused_projections:
        return (("gate", width), ("up", width))
    return (("up", _up(size, width)),)


def _block(size: Sizes, rows: int, width: int, groups: int, name: str) -> Segment:
    """Return the forward products of one feed-forward block."""
    h, each, dtype = size.model.hidden_size, -(-rows // groups), size.format.dtype
    return (
        *_opened(size, rows, width, groups, name),
        linear(f"{name} down", each, h, width, dtype, num_groups=groups),
    )


def _opened(size: Sizes, rows: int, width: int, groups: int, name: str) -> Segment:
    """Return these without the last one."""
    h, each, dtype = size.model.hidden_size, -(-rows // groups), size.format.dtype
    return tuple(
        linear(f"{name} {part}", each, n, h, dtype, num_groups=groups)
        for part, n in _ups(size, width)
    )


def _block_input(size: Sizes, rows: int, width: int, groups: int, name: str) -> Segment:
    h, each, dtype = size.model.hidden_size, -(-rows // groups), size.format.dtype
    return (
        Gemm(f"d {name} down", each, width, h, dtype, num_groups=groups),
        *(
            Gemm(f"d {name} {part}", each, h, k, dtype, num_groups=groups)
            for part, k in _ups(size, width)
        ),
    )


def _block_weight(
    size: Sizes, rows: int, width: int, groups: int, name: str
) -> Segment:
    """Return its weight gradients, one expert at a time."""
    h, each = size.model.hidden_size, -(-rows // groups)
    launched = GRADIENT_KERNELS if groups == 1 else 1  # experts have no biases
    dtype = size.format.dtype
    one = tuple(
        kernel
        for part, n, k in (
            *((part, width, h) for part, width in _ups(size, width)),
            ("down", h, width),
        )
        for kernel in weight_product(
            size, f"w {name} {part}", n, k, each, dtype, num_kernels=launched
        )
    )
    return one * groups


def _is_unfused(size: Sizes) -> bool:
    return size.model.mlp.is_gated and not size.software.kernels.fused_activations


def _pattern(size: Sizes) -> Pattern:
    """Return what activations are: a kernel for each operation, or one for all."""
    return "plain" if _is_unfused(size) else "fused"


def _activation_bytes(size: Sizes, width: int) -> float:
    """Bytes per row of the forward activation and its stash."""
    up = _up(size, width)
    moved = 2.0 * (up + width)
    if _is_unfused(size):
        moved += UNFUSED_GATE * width
    if size.keeps_12_bits:  # the activation writes FP8
        return 2.0 * up + width
    return moved


def _activation_cast_bytes(size: Sizes, width: int) -> float:
    """Bytes per row of casts beside it: of its result, or of gate and up to be kept."""
    return size.format.cast * (_up(size, width) if size.keeps_12_bits else width)


def _activation_input_bytes(size: Sizes, width: int, *modules: str) -> float:
    """Bytes per row of its backward pass; any of ``modules`` repeats the forward."""
    up = _up(size, width)
    again = size.recompute.intersection(modules)
    moved = 2.0 * width + 4.0 * up + (2.0 * (up + width) if again else 0.0)
    if _is_unfused(size):
        moved += UNFUSED_GATE_BACKWARD * width
        moved += (
            JOINED_GRADIENTS * width if size.software.kernels.fused_projections else 0
        )
    return moved


def _activation_input_cast_bytes(size: Sizes, width: int) -> float:
    """Bytes per row of casts of gradients and of the activation, in both orders."""
    up = _up(size, width)
    moved = (size.format.cast + size.format.recast) * up
    if size.keeps_12_bits:  # stash back to BF16
        moved += size.format.cast * up
    return moved + size.format.recast * width


def dense_forward(size: Sizes, *, has_last: bool = True) -> Segment:
    """Return a dense layer's feed-forward block, with its last product or without."""
    products = _block if has_last else _opened
    width = -(-size.model.mlp.ffn_hidden_size // size.tp)
    cast = size.format.cast * size.model.hidden_size
    return (
        *products(size, size.tokens, width, 1, "mlp"),
        Traffic(
            "activation",
            size.tokens * _activation_bytes(size, width),
            pattern=_pattern(size),
        ),
        *casts("casts", size.tokens * (_activation_cast_bytes(size, width) + cast), 3),
    )


def dense_input(size: Sizes) -> Segment:
    """Return the backward pass to its input."""
    width = -(-size.model.mlp.ffn_hidden_size // size.tp)
    cast, h = size.format.cast + 2 * size.format.recast, size.model.hidden_size
    sums: Segment = ()
    if len(_ups(size, width)) > 1:
        moved = float(gradient_sum_bytes(size, 2) * size.tokens * h)
        sums = (Traffic("sum of input gradients", moved, pattern="plain"),)
    again: Segment = ()
    if "mlp" in size.recompute:
        again = _block(size, size.tokens, width, 1, "again mlp")
    elif "mlp_up" in size.recompute:
        again = _opened(size, size.tokens, width, 1, "again mlp")
    elif "second_product" in size.recompute:  # the sixth of a layer
        again = (linear("again mlp up", size.tokens, width, h, size.format.dtype),)
    return (
        *again,
        *_block_input(size, size.tokens, width, 1, "mlp"),
        *sums,
        Traffic(
            "activation backward",
            size.tokens
            * _activation_input_bytes(size, width, "moe_act", "mlp", "mlp_up"),
            2,
            _pattern(size),
        ),
        *casts(
            "casts backward",
            size.tokens * (_activation_input_cast_bytes(size, width) + cast * h),
            6,
        ),
    )


def dense_weight(size: Sizes) -> Segment:
    """Return the products that accumulate its gradients."""
    width = -(-size.model.mlp.ffn_hidden_size // size.tp)
    return (
        *_block_weight(size, size.tokens, width, 1, "mlp"),
        *bias_gradients(size, _up(size, width)),
    )


def router_forward(size: Sizes) -> Segment:
    """Return the gate: BF16 product into FP32 scores, and the choice of experts."""
    tokens, experts = size.expert_tokens, size.moe.num_experts
    routing = _routing(size)
    moved = float(tokens * experts * FP32 * ROUTER_PASSES)
    top_k: Segment = ()
    if routing.num_top_k:
        chosen = size.moe.experts_per_token
        top_k = (TopK("top-k", tokens, experts, chosen, routing.num_top_k),)
    return (
        linear(
            "router", tokens, experts, size.model.hidden_size, "bf16", output_bytes=4
        ),
        Traffic("routing", moved, routing.num_kernels, "small"),
        *top_k,
    )


def router_backward(size: Sizes) -> Segment:
    """Return its backward pass, weights included."""
    tokens, experts = size.expert_tokens, size.moe.num_experts
    h, launched = size.model.hidden_size, _routing(size).num_backward
    summed = float(ADD * tokens * h)
    return (
        Gemm("d router", tokens, h, experts, "bf16"),
        Gemm("w router", experts, h, tokens, "bf16", output_bytes=ACCUMULATE),
        Traffic(
            "routing backward",
            tokens * experts * FP32 * ROUTER_PASSES / 2,
            launched,
            "small",
        ),
        Traffic("sum of router's and experts' gradients", summed, pattern="plain"),
    )


def _routing(size: Sizes) -> Routing:
    return FUSED_ROUTING if size.software.experts.fused_router else ROUTING


def _shared_sum(size: Sizes) -> Segment:
    """Return the sum of shared and routed experts' outputs, or of their gradients.

    DeepSeek's own kernels that combine add it themselves.
    """
    if not size.moe.shared_width or size.keeps_12_bits:
        return ()
    moved = float(ADD * size.expert_tokens * size.model.hidden_size)
    return (Traffic("sum of shared and routed experts", moved, pattern="plain"),)


def _expert_width(size: Sizes) -> int:
    return -(-size.moe.ffn_hidden_size // size.plan.etp)


def _shared_width(size: Sizes) -> int:
    """Return a rank's part of the shared experts, a block that ranks split as any."""
    return -(-size.moe.shared_width // size.tp)


def _permutations(size: Sizes, name: str) -> Segment:
    """Return what brings rows into the order of experts, and results back.

    A kernel that sends a token once leaves that to the receiver. Around a collective
    the sender orders rows by rank and adds up what comes back; the receiver copies them
    into the order of its experts, if it has several, and back. Source:
    NVIDIA/Megatron-LM, commit 23e00ed, ``core/transformer/moe/token_dispatcher.py``.
    """
    if size.software.experts.fused:
        return ()
    h, rows = size.model.hidden_size, size.routed_rows
    sent = 1 if size.keeps_12_bits else BF16
    if size.software.experts.dispatch == "deduplicated":
        moved = (size.received_rows + rows) * h * float(sent + BF16)
        return (Traffic(name, moved, 4, pattern="gathered"),)
    own = size.expert_tokens * size.moe.experts_per_token
    moved = own * (2 * sent + BF16) + size.expert_tokens * BF16
    gathered = Traffic(name, float(moved * h), 4, pattern="gathered")
    if size.local_experts == 1:
        return (gathered,)
    return (gathered, Traffic(name, float(2 * rows * (sent + BF16) * h), 2))


def _arrival_bytes(size: Sizes) -> float:
    """Bytes per row to cast what was dispatched in BF16, or its gradient."""
    return size.format.cast * size.model.hidden_size if size.format.sent == BF16 else 0


def moe_forward(size: Sizes) -> Segment:
    """Return shared and routed experts, permutations included."""
    rows, width = size.routed_rows, _expert_width(size)
    moved, written = 0.0, rows * _arrival_bytes(size)
    if not size.software.experts.fused:
        moved += rows * _activation_bytes(size, width)
        written += rows * _activation_cast_bytes(size, width)
    shared: Segment = ()
    if shared_width := _shared_width(size):
        shared = _block(size, size.tokens, shared_width, 1, "shared expert")
        cast = size.format.cast * size.model.hidden_size
        moved += size.tokens * _activation_bytes(size, shared_width)
        written += size.tokens * _activation_cast_bytes(size, shared_width)
        written += size.expert_tokens * cast
    return (
        *shared,
        *_block(size, rows, width, size.local_experts, "experts"),
        *_permutations(size, "permutation"),
        *_shared_sum(size),
        Traffic("activation", moved, 8 if moved or written else 0),
        *casts("casts", written),
    )


def moe_input(size: Sizes) -> Segment:
    """Return their backward pass to the input."""
    rows, width = size.routed_rows, _expert_width(size)
    moved, written = 0.0, rows * _arrival_bytes(size)
    if not size.software.experts.fused:
        moved += rows * _activation_input_bytes(size, width, "moe_act")
        written += rows * _activation_input_cast_bytes(size, width)
    shared: Segment = ()
    if shared_width := _shared_width(size):
        shared = _block_input(size, size.tokens, shared_width, 1, "shared expert")
        cast = (size.format.cast + 2 * size.format.recast) * size.model.hidden_size
        moved += size.tokens * _activation_input_bytes(size, shared_width, "moe_act")
        written += size.tokens * _activation_input_cast_bytes(size, shared_width)
        written += size.expert_tokens * cast
    return (
        *shared,
        *_block_input(size, rows, width, size.local_experts, "experts"),
        *_permutations(size, "permutation backward"),
        *_shared_sum(size),
        Traffic("activation backward", moved, 16 if moved or written else 0),
        *casts("casts backward", written),
    )


def moe_weight(size: Sizes) -> Segment:
    """Return the products that accumulate their gradients."""
    rows, width = size.routed_rows, _expert_width(size)
    shared: Segment = ()
    if shared_width := _shared_width(size):
        shared = _block_weight(size, size.tokens, shared_width, 1, "shared expert")
    transposed: Segment = ()
    if size.keeps_12_bits:  # input and output gradient, FP8 to transposed FP8
        moved = 2 * rows * size.model.hidden_size * 2
        transposed = casts("transposed casts", moved, 2)
    return (
        *_block_weight(size, rows, width, size.local_experts, "experts"),
        *shared,
        *transposed,
    )
