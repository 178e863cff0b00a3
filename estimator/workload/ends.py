"""Kernels at the two ends of the model: embedding, head and loss, MTP projection."""

from __future__ import annotations

from estimator.errors import EstimatorError
from estimator.schedules.ir import Op
from estimator.workload.attention import ADD, NORM
from estimator.workload.work import (
    ACCUMULATE,
    Gemm,
    Segment,
    Sizes,
    Traffic,
    weight_product,
)

LOSS_FORWARD = {"bf16": 4, "fp32": 8, "unfused": 38}
"""Bytes per logit: BF16 out and read; FP32 probabilities written as well; or cast,
maximum, difference, exponential, sum, quotient, one kernel for each."""
LOSS_BACKWARD = {"bf16": 4, "fp32": 6, "unfused": 20}


def segment(size: Sizes, kind: str, op: str) -> Segment:
    """Return the kernels of an embedding's or a head's pass (``F``, ``I`` or ``W``)."""
    h, tokens = size.model.hidden_size, size.tokens
    vocabulary = 8 * -(-size.model.vocab_size // (8 * size.tp))  # padded
    if kind == "embedding":
        per_token = {Op.F: 4, Op.I: 0, Op.W: 2 + ACCUMULATE}[Op(op)]
        return (Traffic("embedding", tokens * h * per_token, 1),)
    if kind != "head":
        raise EstimatorError(f"{kind!r} is neither embedding nor head")
    if op == Op.F:
        return (
            Gemm("logits", tokens, vocabulary, h, "bf16"),
            Traffic("loss", tokens * vocabulary * LOSS_FORWARD[size.plan.loss], 4),
        )
    if op == Op.I:
        return (
            Gemm("d logits", tokens, h, vocabulary, "bf16"),
            Traffic(
                "loss backward",
                tokens * vocabulary * LOSS_BACKWARD[size.plan.loss],
                3,
            ),
        )
    return weight_product(size, "w logits", vocabulary, h, tokens, "bf16")


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
