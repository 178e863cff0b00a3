"""The kernels of a layer: its mixer and its feed-forward block, pass by pass."""

from __future__ import annotations

from typing import NamedTuple

from estimator.workload import attention, ends, feed_forward, mamba
from estimator.workload.attention import DROPOUT, MASK, norm_bytes
from estimator.workload.stages import Element
from estimator.workload.work import ADD, CHECKPOINT_STATES, Segment, Sizes, Traffic

EAGER_NORM_KERNELS = 7
CHECKPOINTED = {"full", "core_attn", "mlp", "mlp_up", "moe", "layernorm", "moe_act"}
"""Recomputed parts that are a checkpoint of their own."""


class LayerSegments(NamedTuple):
    """The kernels of one layer on the compute stream."""

    mixer_forward: Segment
    """Up to the point where tokens leave for their experts: gate included."""
    ffn_forward: Segment
    ffn_input: Segment
    ffn_weight: Segment
    mixer_input: Segment
    mixer_weight: Segment
    ffn_again: Segment
    """Forward once more, as far as the backward pass needs it."""


def layer_segments(size: Sizes, element: Element) -> LayerSegments:
    """Return a layer's six segments."""
    mixer = _mixer(size, element)
    ffn = _feed_forward(size, element)
    before, after = mixer[0], mixer[1]
    if element.feed_forward == "moe":
        before += feed_forward.router_forward(size)
        after += feed_forward.router_backward(size)
    forward, backward, weight = before, after, mixer[2]
    if element.kind == "mtp":
        more = ends.mtp_projection(size)
        forward, backward, weight = (
            more[0] + forward,
            backward + more[1],
            weight + more[2],
        )
    return LayerSegments(
        forward + _residual(size, element, is_backward=False),
        ffn[0],
        ffn[1],
        ffn[2],
        backward + _residual(size, element, is_backward=True),
        weight,
        feed_forward.dense_again(size) if element.feed_forward == "mlp" else ffn[0],
    )


def _mixer(size: Sizes, element: Element) -> tuple[Segment, Segment, Segment]:
    if element.mixer == "attention":
        return (
            attention.forward(size, element.layer),
            attention.input_gradient(size, element.layer),
            attention.weight_gradient(size),
        )
    if element.mixer == "mamba":
        return (
            mamba.forward(size),
            mamba.input_gradient(size),
            mamba.weight_gradient(size),
        )
    return ((), (), ())


def _feed_forward(size: Sizes, element: Element) -> tuple[Segment, Segment, Segment]:
    if element.feed_forward == "mlp":
        return (
            feed_forward.dense_forward(size),
            feed_forward.dense_input(size),
            feed_forward.dense_weight(size),
        )
    if element.feed_forward == "moe":
        return (
            feed_forward.moe_forward(size),
            feed_forward.moe_input(size),
            feed_forward.moe_weight(size),
        )
    return ((), (), ())


def _residual(size: Sizes, element: Element, *, is_backward: bool) -> Segment:
    """Return norms and residual additions of the layer's blocks."""
    model = size.model
    num_blocks = (element.mixer is not None) + (element.feed_forward is not None)
    num_norms = model.norms_per_layer or num_blocks
    norm, norm_backward = norm_bytes(size)
    each = num_norms * (norm_backward if is_backward else norm)
    if size.plan.dropout:  # one kernel drops and adds forward, two do backward
        each += num_blocks * (DROPOUT if is_backward else MASK)
    if is_backward and "layernorm" in size.recompute:
        each += num_norms * norm
    moved = size.split_tokens * model.hidden_size * each
    name = "norms, residual backward" if is_backward else "norms, residual"
    launched = 2 * num_blocks * (2 if is_backward else 1)
    if not size.plan.fused_norms:
        launched += num_norms * (2 if is_backward else 1) * (EAGER_NORM_KERNELS - 1)
    norms = Traffic(
        name,
        moved,
        launched - num_blocks,
        "fused" if size.plan.fused_norms else "plain",
    )
    summed = float(size.split_tokens * model.hidden_size * num_blocks * ADD)
    sums = Traffic("residual sums", summed, num_blocks, "plain")
    if not is_backward:
        return (norms, sums)
    return (norms, sums, *(CHECKPOINT_STATES for _ in size.recompute & CHECKPOINTED))
