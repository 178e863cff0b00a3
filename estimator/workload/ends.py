"""Kernels at the two ends of the model: embedding, head and loss, MTP projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estimator.errors import EstimatorError
from estimator.schedules.ir import Op
from estimator.specs.training import LossKernel
from estimator.workload.attention import ADD, NORM
from estimator.workload.work import (
    ACCUMULATE,
    Gemm,
    Segment,
    Sizes,
    Traffic,
    weight_product,
)


class Passes(NamedTuple):
    """What a loss moves in one direction."""

    bytes_per_logit: int
    num_kernels: int


LOSS_FORWARD: Mapping[LossKernel, Passes] = {
    "half": Passes(4, 4),
    "fused": Passes(8, 4),
    "unfused": Passes(38, 20),
    "eager": Passes(38, 20),
}
"""BF16 logits out and read; FP32 probabilities written as well; or cast, maximum,
difference, exponential, sum and quotient, one kernel for each, and small ones that pick
the target's logit (NVIDIA/Megatron-LM, commit d98e8a6,
``core/tensor_parallel/cross_entropy.py``)."""
LOSS_BACKWARD: Mapping[LossKernel, Passes] = {
    "half": Passes(4, 3),
    "fused": Passes(6, 3),
    "unfused": Passes(14, 10),
    "eager": Passes(20, 10),
}
"""``unfused``: a product in place and a cast, in the same file."""


def segment(size: Sizes, kind: str, op: str) -> Segment:
    """Return the kernels of an embedding's or a head's pass (``F``, ``I`` or ``W``)."""
    h, tokens = size.model.hidden_size, size.tokens
    vocabulary = 8 * -(-size.model.vocab_size // (8 * size.tp))  # padded
    if kind == "embedding":
        per_token = {Op.F: 4, Op.I: 0, Op.W: 2 + ACCUMULATE}[Op(op)]
        return (Traffic("embedding", tokens * h * per_token, 1),)
    if kind != "head":
        raise EstimatorError(f"{kind!r} is neither embedding nor head")
    kernel = size.plan.loss_kernel
    if op == Op.F:
        return (
            Gemm("logits", tokens, vocabulary, h, "bf16"),
            _loss("loss", tokens * vocabulary, LOSS_FORWARD[kernel]),
        )
    if op == Op.I:
        return (
            Gemm("d logits", tokens, h, vocabulary, "bf16"),
            _loss("loss backward", tokens * vocabulary, LOSS_BACKWARD[kernel]),
        )
    return weight_product(size, "w logits", vocabulary, h, tokens, "bf16")


def _loss(name: str, num_logits: int, passes: Passes) -> Traffic:
    return Traffic(name, num_logits * passes.bytes_per_logit, passes.num_kernels)


def mtp_projection(size: Sizes) -> tuple[Segment, Segment, Segment]:
    """Return what a multi-token-prediction module adds to a layer: F, I and W.

    Two norms, and a projection of the previous hidden state joined with the next
    token's embedding. Source: DeepSeek-V3 technical report, section 2.2.
    """
    h, tokens = size.model.hidden_size, size.tokens
    forward = (
        Gemm("MTP projection", tokens, h, 2 * h, size.format.dtype),
        Traffic("MTP norms", tokens * h * (2 * NORM + ADD), 4),
    )
    backward = (
        Gemm("d MTP projection", tokens, 2 * h, h, size.format.dtype),
        Traffic("MTP norms backward", tokens * h * (2 * NORM + ADD), 4),
    )
    dtype = size.format.dtype
    weight = weight_product(size, "w MTP projection", h, 2 * h, tokens, dtype)
    return forward, backward, weight
