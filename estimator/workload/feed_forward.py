"""Kernels of feed-forward blocks: dense, routed and shared experts."""

from __future__ import annotations

from estimator.workload.attention import ACCUMULATE, CAST
from estimator.workload.work import Gemm, Segment, Sizes, Traffic

ROUTER_PASSES = 8
"""Passes over the FP32 scores: sigmoid, bias, group sums, top-k, normalisation."""
ROUTER_KERNELS = 25
FP32 = 4


def _block(size: Sizes, rows: int, width: int, groups: int, name: str) -> Segment:
    """Return the forward products of one feed-forward block."""
    h, up = size.model.hidden_size, (2 if size.model.mlp.is_gated else 1) * width
    each = -(-rows // groups)
    return (
        Gemm(f"{name} up", each, up, h, size.linear, num_groups=groups),
        Gemm(f"{name} down", each, h, width, size.linear, num_groups=groups),
    )


def _block_input(size: Sizes, rows: int, width: int, groups: int, name: str) -> Segment:
    h, up = size.model.hidden_size, (2 if size.model.mlp.is_gated else 1) * width
    each = -(-rows // groups)
    return (
        Gemm(f"d {name} down", each, width, h, size.linear, num_groups=groups),
        Gemm(f"d {name} up", each, h, up, size.linear, num_groups=groups),
    )


def _block_weight(
    size: Sizes, rows: int, width: int, groups: int, name: str
) -> Segment:
    h, up = size.model.hidden_size, (2 if size.model.mlp.is_gated else 1) * width
    each = -(-rows // groups)
    one_expert_at_a_time = (
        Gemm(
            f"w {name} up",
            up,
            h,
            each,
            size.linear,
            output_bytes=ACCUMULATE,
            is_weight_gradient=True,
        ),
        Gemm(
            f"w {name} down",
            h,
            width,
            each,
            size.linear,
            output_bytes=ACCUMULATE,
            is_weight_gradient=True,
        ),
    )
    return one_expert_at_a_time * groups


def _activation_bytes(size: Sizes, width: int) -> float:
    """Bytes per row of the forward activation, its cast and its stash."""
    up = (2 if size.model.mlp.is_gated else 1) * width
    if not size.is_fp8:
        return 2.0 * (up + width)
    return 2.0 * up + width + CAST * up


def _activation_input_bytes(size: Sizes, width: int) -> float:
    """Bytes per row of its backward pass."""
    up = (2 if size.model.mlp.is_gated else 1) * width
    again = {"moe_act", "mlp", "full"} & size.recompute
    moved = 2.0 * width + 4.0 * up + (2.0 * (up + width) if again else 0.0)
    if size.is_fp8:  # stash back to BF16, casts both ways, activation cast again
        moved += CAST * up + 2 * CAST * up + CAST * width
    return moved


def dense_forward(size: Sizes) -> Segment:
    """Return a dense layer's feed-forward block."""
    width = size.model.mlp.ffn_hidden_size // size.tp
    cast = CAST * size.model.hidden_size if size.is_fp8 else 0
    return (
        *_block(size, size.tokens, width, 1, "mlp"),
        Traffic(
            "activation, casts",
            size.tokens * (_activation_bytes(size, width) + cast),
            4,
        ),
    )


def dense_input(size: Sizes) -> Segment:
    """Return the backward pass to its input."""
    width = size.model.mlp.ffn_hidden_size // size.tp
    cast = 3 * CAST * size.model.hidden_size if size.is_fp8 else 0
    again: Segment = ()
    if {"mlp", "full"} & size.recompute:
        again = _block(size, size.tokens, width, 1, "again mlp")
    return (
        *again,
        *_block_input(size, size.tokens, width, 1, "mlp"),
        Traffic(
            "activation, casts backward",
            size.tokens * (_activation_input_bytes(size, width) + cast),
            8,
        ),
    )


def dense_weight(size: Sizes) -> Segment:
    """Return the products that accumulate its gradients."""
    width = size.model.mlp.ffn_hidden_size // size.tp
    return _block_weight(size, size.tokens, width, 1, "mlp")


def _local_experts(size: Sizes) -> int:
    assert size.model.moe  # noqa: S101
    return size.model.moe.num_experts // size.ep


def _shared_width(size: Sizes) -> int:
    assert size.model.moe  # noqa: S101
    return size.model.moe.num_shared_experts * size.model.moe.ffn_hidden_size


def router_forward(size: Sizes) -> Segment:
    """Return the gate: BF16 product into FP32 scores, and the choice of experts."""
    assert size.model.moe  # noqa: S101
    tokens, experts = size.split_tokens, size.model.moe.num_experts
    return (
        Gemm("router", tokens, experts, size.model.hidden_size, "bf16", output_bytes=4),
        Traffic("routing", tokens * experts * FP32 * ROUTER_PASSES, ROUTER_KERNELS),
    )


def router_backward(size: Sizes) -> Segment:
    """Return its backward pass, weights included."""
    assert size.model.moe  # noqa: S101
    tokens, experts = size.split_tokens, size.model.moe.num_experts
    h = size.model.hidden_size
    return (
        Gemm("d router", tokens, h, experts, "bf16"),
        Gemm("w router", experts, h, tokens, "bf16", output_bytes=ACCUMULATE),
        Traffic("routing backward", tokens * experts * FP32 * ROUTER_PASSES / 2, 10),
    )


def moe_forward(size: Sizes) -> Segment:
    """Return shared and routed experts, permutations included."""
    assert size.model.moe  # noqa: S101
    h, width = size.model.hidden_size, size.model.moe.ffn_hidden_size
    rows, received = size.routed_rows, size.received_rows
    sent = 1 if size.is_fp8 else 2
    shared: Segment = ()
    moved = rows * _activation_bytes(size, width)
    moved += (received + rows) * h * sent + (rows + received) * h * 2
    if shared_width := _shared_width(size):
        shared = _block(size, size.split_tokens, shared_width, 1, "shared expert")
        cast = CAST * h if size.is_fp8 else 0
        moved += size.split_tokens * (_activation_bytes(size, shared_width) + cast)
    return (
        *shared,
        *_block(size, rows, width, _local_experts(size), "experts"),
        Traffic("permutation, activation, casts", moved, 12),
    )


def moe_input(size: Sizes) -> Segment:
    """Return their backward pass to the input."""
    assert size.model.moe  # noqa: S101
    h, width = size.model.hidden_size, size.model.moe.ffn_hidden_size
    rows, received = size.routed_rows, size.received_rows
    sent = 1 if size.is_fp8 else 2
    moved = rows * _activation_input_bytes(size, width)
    moved += (received + rows) * h * sent + (rows + received) * h * 2
    shared: Segment = ()
    if shared_width := _shared_width(size):
        shared = _block_input(size, size.split_tokens, shared_width, 1, "shared expert")
        cast = 3 * CAST * h if size.is_fp8 else 0
        moved += size.split_tokens * (
            _activation_input_bytes(size, shared_width) + cast
        )
    again: Segment = ()
    if {"mlp", "full"} & size.recompute:
        again = _block(size, rows, width, _local_experts(size), "again experts")
    return (
        *again,
        *shared,
        *_block_input(size, rows, width, _local_experts(size), "experts"),
        Traffic("permutation, activation, casts backward", moved, 20),
    )


def moe_weight(size: Sizes) -> Segment:
    """Return the products that accumulate their gradients, one expert at a time."""
    assert size.model.moe  # noqa: S101
    width, rows = size.model.moe.ffn_hidden_size, size.routed_rows
    shared: Segment = ()
    if shared_width := _shared_width(size):
        shared = _block_weight(
            size, size.split_tokens, shared_width, 1, "shared expert"
        )
    transposed: Segment = ()
    if size.is_fp8:  # input and output gradient, FP8 to transposed FP8
        transposed = (
            Traffic("transposed casts", 2 * rows * size.model.hidden_size * 2, 2),
        )
    return (
        *_block_weight(size, rows, width, _local_experts(size), "experts"),
        *shared,
        *transposed,
    )
