"""The kernels of a layer: its mixer and its feed-forward block, pass by pass."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from estimator.specs.model import BlockKind
from estimator.workload import attention, ends, feed_forward, mamba
from estimator.workload.attention import DROPOUT, MASK, norm_bytes
from estimator.workload.stages import Element
from estimator.workload.stored import HALF
from estimator.workload.work import (
    ADD,
    CHECKPOINT_STATES,
    Gemm,
    Segment,
    Sizes,
    Traffic,
    casts,
)

EAGER_NORM_KERNELS = 7
CHECKPOINTED = {"full", "core_attn", "mlp", "mlp_up", "moe", "layernorm", "moe_act"}
"""Recomputed parts that are a checkpoint of their own."""

T = TypeVar("T")


class Block(StrEnum):
    """One of a layer's two blocks, by what most models have there."""

    MIXER = "attention"
    FFN = "mlp"


class OfBlock(NamedTuple, Generic[T]):
    """Something of each pass of a block."""

    forward: T
    """Of a mixer, up to the point where tokens leave for their experts."""
    input: T
    weight: T
    again: T
    """Forward once more, as far as the backward pass needs it."""


class OfLayer(NamedTuple, Generic[T]):
    """Something of each block of a layer."""

    mixer: OfBlock[T]
    ffn: OfBlock[T]

    def of(self, block: Block) -> OfBlock[T]:
        """Return what belongs to one of them."""
        return self.mixer if block is Block.MIXER else self.ffn


NOTHING: OfBlock[Segment] = OfBlock((), (), (), ())


def block_kind(element: Element, block: Block) -> BlockKind | None:
    """Return what a layer has in the place of a block."""
    return element.mixer if block is Block.MIXER else element.feed_forward


def shares_collectives(size: Sizes, element: Element) -> bool:
    """Whether a layer's two blocks have one gather and one reduction between them.

    Both read the same normed input, and their outputs are added before the ranks' are.
    Source: Black et al., GPT-NeoX-20B, 2022, section 2.1.
    """
    blocks = element.mixer, element.feed_forward
    return size.model.is_parallel and blocks == ("attention", "mlp")


def layer_segments(size: Sizes, element: Element) -> OfLayer[Segment]:
    """Return the kernels of a layer on the compute stream.

    The gate belongs to the mixer: tokens leave for their experts behind it.
    """
    forward, backward, weight, _ = _quantised(size, _mixer(size, element))
    if element.feed_forward == "moe":
        forward += feed_forward.router_forward(size)
        backward += feed_forward.router_backward(size)
    if element.kind == "mtp":
        more = ends.mtp_projection(size)
        forward = more.forward + forward
        backward = backward + more.input
        weight = weight + more.weight
    forward += _residual(size, element, is_backward=False)
    backward += _residual(size, element, is_backward=True)
    return OfLayer(
        OfBlock(forward, backward, weight, forward),
        _quantised(size, _feed_forward(size, element)),
    )


def _quantised(size: Sizes, block: OfBlock[Segment]) -> OfBlock[Segment]:
    """Return a block whose weights are cast for each product where no copy is kept.

    As activations are, forward and again backward (pytorch/ao, ``float8/
    float8_linear.py``, recalled: both from the weight in 16 bits).
    """
    storage, form = size.software.storage, size.format
    if form.weight >= HALF or storage.num_8_bit_copies or storage.gathers_8_bits:
        return block
    once = block.again is block.forward
    forward = block.forward + _cast(block.forward, form.dtype, form.cast)
    return OfBlock(
        forward,
        block.input + _cast(block.input, form.dtype, form.recast),
        block.weight,
        forward if once else block.again + _cast(block.again, form.dtype, form.cast),
    )


def _cast(segment: Segment, dtype: str, bytes_per_weight: float) -> Segment:
    weights = sum(
        made.n * made.k * made.num_groups
        for made in segment
        if isinstance(made, Gemm) and made.dtype == dtype
    )
    return casts("weights in 8 bits", weights * bytes_per_weight, 1)


def _mixer(size: Sizes, element: Element) -> OfBlock[Segment]:
    if element.mixer == "attention":
        forward = attention.forward(size, element.layer)
        backward = attention.input_gradient(size, element.layer)
        return OfBlock(forward, backward, attention.weight_gradient(size), forward)
    if element.mixer == "mamba":
        forward = mamba.forward(size)
        backward = mamba.input_gradient(size)
        return OfBlock(forward, backward, mamba.weight_gradient(size), forward)
    return NOTHING


def _feed_forward(size: Sizes, element: Element) -> OfBlock[Segment]:
    if element.feed_forward == "mlp":
        forward = again = feed_forward.dense_forward(size)
        if size.drops_last:
            again = feed_forward.dense_forward(size, has_last=False)
        backward = feed_forward.dense_input(size)
        return OfBlock(forward, backward, feed_forward.dense_weight(size), again)
    if element.feed_forward == "moe":
        forward, backward = feed_forward.moe_forward(size), feed_forward.moe_input(size)
        return OfBlock(forward, backward, feed_forward.moe_weight(size), forward)
    return NOTHING


def _residual(size: Sizes, element: Element, *, is_backward: bool) -> Segment:
    """Return norms and residual additions of the layer's blocks."""
    model = size.model
    num_blocks = (element.mixer is not None) + (element.feed_forward is not None)
    num_norms = model.norms_per_layer or num_blocks
    norm, norm_backward = norm_bytes(size)
    each = num_norms * (norm_backward if is_backward else norm)
    if (
        size.software.defaults.dropout
    ):  # one kernel drops and adds forward, two do backward
        each += num_blocks * (DROPOUT if is_backward else MASK)
    if is_backward and "layernorm" in size.recompute:
        each += num_norms * norm
    moved = size.split_tokens * model.hidden_size * each
    name = "norms, residual backward" if is_backward else "norms, residual"
    launched = 2 * num_blocks * (2 if is_backward else 1)
    if not size.software.kernels.fused_norms:
        launched += num_norms * (2 if is_backward else 1) * (EAGER_NORM_KERNELS - 1)
    norms = Traffic(
        name,
        moved,
        launched - num_blocks,
        "fused" if size.software.kernels.fused_norms else "plain",
    )
    summed = float(size.split_tokens * model.hidden_size * num_blocks * ADD)
    sums = Traffic("residual sums", summed, num_blocks, "plain")
    if not is_backward:
        return (norms, sums)
    return (norms, sums, *(CHECKPOINT_STATES for _ in size.recompute & CHECKPOINTED))
